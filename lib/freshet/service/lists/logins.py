"""Which customer an anonymous id was, and when: the logins under it, as the rule of contracts.identity needs them."""

import json
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_MOST_RUNS = 16
"""Changes of customer on one device that are kept; earlier ones matter only to events that arrive even later."""

Run = tuple[int, str]
"""(end in microseconds, customer): entries after the end of the previous run, up to this end, belong to the
customer."""


def runs_with(runs: Sequence[Run], logins: Iterable[Run]) -> list[Run]:
    """`runs` with more logins, in rising order; only the newest are kept. Consecutive logins of one customer are one
    run."""
    found: list[Run] = []
    for moment, customer in sorted({*runs, *logins}):
        if found and found[-1][1] == customer:
            found.pop()
        found.append((moment, customer))
    return found[-_MOST_RUNS:]


def customers_at(runs: Sequence[Run], moments: NDArray[np.int64]) -> list[str | None]:
    """The customer at each moment: that of the first run that ends at it or later; None after the last run."""
    places = np.searchsorted([until for until, _ in runs], moments, side="left")
    names: list[str | None] = [*(customer for _, customer in runs), None]
    return [names[place] for place in places]


def written(runs: Sequence[Run]) -> str:
    """As text, for `read`."""
    return json.dumps(runs)


def read(text: str | None) -> list[Run]:
    """The runs of a text of `written`; none for None."""
    return [] if text is None else [(int(until), str(customer)) for until, customer in json.loads(text)]
