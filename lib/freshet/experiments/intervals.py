"""Confidence intervals of means from the influence that each unit has on the estimate."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]


_ROUNDING = 1e-12
"""Deviations of this share of the value are what remains of equal numbers after their mean is taken away."""


class Interval(NamedTuple):
    """The ends of a confidence interval."""

    low: float
    high: float


def cluster_sums(influence: Array, cluster: NDArray[np.generic] | None) -> Array:
    """The sum of the influences of each cluster, in order of the clusters; `influence` itself without clusters."""
    if cluster is None:
        return influence
    _, place = np.unique(cluster, return_inverse=True)
    return np.bincount(place, influence).astype(np.float64)


def skewness_corrected(value: float, influence: Array, *, level: float) -> Interval | None:
    """The interval at `level` of an estimate whose error is, to first order, the sum of independent `influence`s.

    `influence` has an element per independent unit: for the mean of n values, (value - mean) / n. Its elements add up
    to 0. A studentised interval with quantiles of Student's t, of as many degrees of freedom as units less one, whose
    ends Hall's monotone cubic transformation moves by the skewness ("On the removal of skewness by transformation",
    JRSS B 54(1), 1992): rewards are rare and importance weights are large, so that the truth is above the symmetric
    interval far more often than below it. Without skewness it is the symmetric interval.

    None where the data tell nothing of the spread: fewer than two units, or all of them with the same value.
    """
    units = len(influence)
    largest = float(np.max(np.abs(influence), initial=0.0))
    if units < 2 or largest * units <= _ROUNDING * abs(value):
        return None
    scaled = influence / largest  # squares and cubes of small rewards would vanish
    variance = float(np.mean(scaled**2))
    error = largest * float(np.sqrt(variance * units * units / (units - 1)))
    skewness = float(np.mean(scaled**3)) / variance**1.5
    low, high = (float(stdtrit(units - 1, share)) for share in ((1 + level) / 2, (1 - level) / 2))
    return Interval(value - error * _moved(low, skewness, units), value - error * _moved(high, skewness, units))


def _moved(quantile: float, skewness: float, units: int) -> float:
    """The quantile of the studentised mean that corresponds to one of a distribution without skewness."""
    scale = skewness / np.sqrt(units)
    if abs(scale) < 1e-6:
        return quantile  # the limit, where the expression below would divide by next to nothing
    return float(3.0 / scale * (np.cbrt(1.0 + scale * (quantile - scale / 6.0)) - 1.0))
