"""Cut dates at which a model of the future is trained, and folds without look-ahead."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile

DAYS_PER_YEAR = 365.25


def rolling_cuts(first_event: datetime, cut: datetime, *, horizon_days: int, max_cuts: int) -> list[datetime]:
    """Training cuts, oldest first: the label window of each ends at or before `cut` and before the next one starts.

    There are as many cuts a year as horizons fit into it, at whole days, so that they fall on the same days of every
    year: the habits of a month are then learned from the same month of the year before. Horizons longer than a year
    follow each other directly. Only the newest `max_cuts` are used, each at least one horizon after `first_event`, so
    that there are events before it. Empty when the data are too short.
    """
    cuts_a_year = int(DAYS_PER_YEAR // horizon_days)
    spacing = DAYS_PER_YEAR / cuts_a_year if cuts_a_year else float(horizon_days)
    candidates = (cut - timedelta(days=int(number * spacing)) for number in range(1, max_cuts + 1))
    earliest = first_event + timedelta(days=horizon_days)
    return sorted(takewhile(lambda moment: moment >= earliest, candidates))


def time_ordered_folds(cuts: Sequence[datetime], *, folds: int) -> list[tuple[list[datetime], datetime]]:
    """(training cuts, later validation cut) for each of the `folds` newest of the rising `cuts`, oldest first.

    A fold trains at earlier cuts only. Their label windows end before the validation cut when the cuts are those of
    `rolling_cuts`. There are fewer folds with fewer than folds + 1 cuts; none with fewer than two cuts.
    """
    rising = sorted(cuts)
    first_judged = max(1, len(rising) - folds)
    return [(rising[:index], rising[index]) for index in range(first_judged, len(rising))]
