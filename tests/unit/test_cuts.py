"""Cut dates to learn at, and folds in time."""

from datetime import date, datetime, timedelta

import pytest

from freshet.models.propensity.cuts import rolling_cuts, time_ordered_folds

pytestmark = pytest.mark.unit

LONG_AGO, CUT = datetime(2000, 1, 1), datetime(2011, 11, 9)


@pytest.mark.parametrize("horizon_days", [1, 7, 30, 31, 90, 200, 365, 400])
def test_label_windows_end_before_the_next_cut_begins(horizon_days: int) -> None:
    cuts = rolling_cuts(LONG_AGO, CUT, horizon_days=horizon_days, max_cuts=40)
    horizon = timedelta(days=horizon_days)
    assert cuts == sorted(cuts)
    assert all(earlier + horizon <= later for earlier, later in zip(cuts, [*cuts[1:], CUT], strict=True))


def test_monthly_cuts_fall_on_the_days_of_the_year_before() -> None:
    cuts = rolling_cuts(LONG_AGO, CUT, horizon_days=30, max_cuts=24)
    assert [cut.date() for cut in cuts if cut.month == 11] == [date(2009, 11, 9), date(2010, 11, 9)]


def test_something_is_known_for_a_horizon_before_the_first_cut() -> None:
    cuts = rolling_cuts(CUT - timedelta(days=90), CUT, horizon_days=30, max_cuts=24)
    assert cuts == [CUT - timedelta(days=60), CUT - timedelta(days=30)]
    assert rolling_cuts(CUT - timedelta(days=59), CUT, horizon_days=30, max_cuts=24) == []


def test_of_many_cuts_the_newest_are_kept() -> None:
    assert rolling_cuts(LONG_AGO, CUT, horizon_days=30, max_cuts=1) == [CUT - timedelta(days=30)]


def test_a_fold_learns_at_earlier_cuts_only() -> None:
    cuts = rolling_cuts(LONG_AGO, CUT, horizon_days=30, max_cuts=6)
    folds = time_ordered_folds(cuts, folds=3)
    assert [judged for _, judged in folds] == cuts[3:]
    assert [learned for learned, _ in folds] == [cuts[:3], cuts[:4], cuts[:5]]


def test_few_cuts_give_few_folds_and_one_cut_none() -> None:
    cuts = rolling_cuts(LONG_AGO, CUT, horizon_days=30, max_cuts=2)
    assert time_ordered_folds(cuts, folds=3) == [(cuts[:1], cuts[1])]
    assert time_ordered_folds(cuts[:1], folds=3) == []
