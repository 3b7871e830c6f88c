"""Who an anonymous id was when: the logins under it, in the few numbers that the rule of contracts.identity needs."""

import json
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_MOST_RUNS = 16
"""Changes of customer on one device that are told apart; earlier ones matter to events that come later still."""

Run = tuple[int, str]
"""Until when, in microseconds, and which customer: entries after the run before and up to then are the customer's."""


def runs_with(runs: Sequence[Run], logins: Iterable[Run]) -> list[Run]:
    """`runs` with more logins, in rising order, the newest of them. Logins of one customer in a row are one run."""
    found: list[Run] = []
    for moment, customer in sorted({*runs, *logins}):
        if found and found[-1][1] == customer:
            found.pop()
        found.append((moment, customer))
    return found[-_MOST_RUNS:]


def customers_at(runs: Sequence[Run], moments: NDArray[np.int64]) -> list[str | None]:
    """The customer of each moment: of the first run that reaches it; None behind the last."""
    places = np.searchsorted([until for until, _ in runs], moments, side="left")
    names: list[str | None] = [*(customer for _, customer in runs), None]
    return [names[place] for place in places]


def written(runs: Sequence[Run]) -> str:
    """As text, for `read`."""
    return json.dumps(runs)


def read(text: str | None) -> list[Run]:
    """The runs of a text of `written`; none for None."""
    return [] if text is None else [(int(until), str(customer)) for until, customer in json.loads(text)]
