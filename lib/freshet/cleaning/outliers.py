"""Outliers by robust z-score or by quartile fences, on the log scale: quantities and prices are far from normal."""

import math
from dataclasses import dataclass

import numpy as np
from pyspark.sql import Column
from pyspark.sql import functions as F

from freshet.cleaning.parameters import CleaningParameters

MEASURES = ("quantity", "price")
_STEPS = 1000
_ACCURACY = 10_000
"""Rank error of the quantiles: 1 / accuracy of the rows. Finer than the requested grid of quantiles."""


@dataclass(frozen=True)
class Limits:
    """Values outside [low, high] are flagged. The limits are infinite when there are no values to derive them from."""

    low: float
    high: float


NO_LIMITS = Limits(0.0, math.inf)


def log_quantiles(counts: Column, params: CleaningParameters) -> list[Column]:
    """Aggregates, by measure, of the quantiles that `limits_of` needs, over the positive values where `counts`.

    Empty when outlier detection is off.
    """
    if params.outlier_method == "none":
        return []
    # One SQL text: creating a thousand literals with a JVM call each took a second.
    grid = F.expr(f"array({', '.join(f'{n / _STEPS}D' for n in range(_STEPS + 1))})")
    return [
        F.percentile_approx(F.when(counts & (F.col(name) > 0), F.ln(name)), grid, _ACCURACY).alias(name)
        for name in MEASURES
    ]


def limits_from(quantiles: dict[str, list[float] | None], params: CleaningParameters) -> dict[str, Limits]:
    """Limits of each measure, in its own units, from `log_quantiles` by measure; NO_LIMITS without values."""
    found = {name: quantiles.get(name) for name in MEASURES}
    return {name: NO_LIMITS if logs is None else limits_of(np.array(logs), params) for name, logs in found.items()}


def limits_of(logs: np.ndarray, params: CleaningParameters) -> Limits:
    """Limits from evenly spaced quantiles (n,) of the logarithms of a measure.

    robust_z: |0.6745 (x - median) / MAD| beyond the limit (Iglewicz and Hoaglin 1993, equation 5.1). iqr: beyond
    that many interquartile ranges below the first or above the third quartile (Tukey 1977). A spread of 0 gives no
    limits: most values are then equal, which makes no other value wrong.
    """
    median = float(np.median(logs))
    if params.outlier_method == "robust_z":
        # Evenly spaced quantiles are a sample of the distribution: the median of their distances is the MAD.
        spread = float(np.median(np.abs(logs - median))) / 0.6745
        low, high = median - params.outlier_robust_z * spread, median + params.outlier_robust_z * spread
    else:
        first, third = (float(value) for value in np.quantile(logs, [0.25, 0.75]))
        spread = third - first
        low, high = first - params.outlier_iqr_fences * spread, third + params.outlier_iqr_fences * spread
    return NO_LIMITS if spread <= 0 else Limits(math.exp(low), math.exp(min(high, 700.0)))


def outlier_flags(limits: dict[str, Limits]) -> list[tuple[str, Column]]:
    """Per measure the flag `outlier_<measure>` and its condition: a value outside its limits."""
    return [
        (
            f"outlier_{name}",
            (F.col(name) > limits[name].high) | ((F.col(name) > 0) & (F.col(name) < limits[name].low)),
        )
        for name in MEASURES
    ]
