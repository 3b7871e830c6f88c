"""Two arms that are equal, looked at after every shopper: how often the one is called better than the other."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.experiments.sequential import standard_errors

Array = NDArray[np.float64]

ALPHA, PLANNED_SHOPPERS, _AT_ONCE = 0.05, 2_000, 100

OUTCOMES: dict[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "normal": lambda rng, shape: rng.normal(10.0, 3.0, shape),
    "conversion": lambda rng, shape: (rng.random(shape) < 0.03).astype(float),
    "clicks": lambda rng, shape: rng.poisson(rng.gamma(0.5, 2.0, shape)).astype(float),
    "revenue": lambda rng, shape: (rng.random(shape) < 0.05) * rng.lognormal(3.0, 1.2, shape),
}
"""A number per shopper: of the last, most spend nothing and a few very much."""


class FalseAlarms(NamedTuple):
    """Shares of simulated shops in which the difference was ever called sure, by our intervals and by fixed ones of
    95 %; and (control, treatment, look, low, high) of a few looks."""

    always_valid: float
    fixed: float
    some_looks: list[tuple[Array, Array, int, float, float]]


def false_alarms(outcome: str, *, shops: int, shoppers: int, first_look: int, seed: int) -> FalseAlarms:
    """Looks after every pair of shoppers, from `first_look` in each arm to `shoppers`."""
    rng, counts = np.random.default_rng(seed), np.arange(1, shoppers + 1)
    widths = np.array([standard_errors(2 * int(n), alpha=ALPHA, planned_shoppers=PLANNED_SHOPPERS) for n in counts])
    ours = fixed = 0
    looks: list[tuple[Any, ...]] = []
    for start in range(0, shops, _AT_ONCE):
        shape = (min(_AT_ONCE, shops - start), shoppers)
        arms = [OUTCOMES[outcome](rng, shape) for _ in range(2)]
        means, variances = zip(*(_running(values, counts) for values in arms), strict=True)
        difference, error = means[1] - means[0], np.sqrt(variances[0] + variances[1])
        for n in () if looks else (first_look, (first_look + shoppers) // 2, shoppers):
            low, high = (difference[0, n - 1] + sign * widths[n - 1] * error[0, n - 1] for sign in (-1, 1))
            looks.append((arms[0][0, :n], arms[1][0, :n], n, low, high))
        seen = slice(first_look - 1, None)
        is_known = error[:, seen] > 0.0
        ours += int((is_known & (np.abs(difference) > widths * error)[:, seen]).any(axis=1).sum())
        fixed += int((is_known & (np.abs(difference) > 1.96 * error)[:, seen]).any(axis=1).sum())
    return FalseAlarms(ours / shops, fixed / shops, looks)


def _running(values: Array, counts: NDArray[np.int64]) -> tuple[Array, Array]:
    """Mean and its variance after each shopper."""
    means = values.cumsum(axis=1) / counts
    variances = (values**2).cumsum(axis=1) / counts - means**2
    return means, np.maximum(variances, 0.0) / np.maximum(counts - 1, 1)
