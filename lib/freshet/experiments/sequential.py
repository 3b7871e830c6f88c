"""Intervals that hold at every look: how far a difference may be from the truth at any time, not only at one."""

import numpy as np

from freshet.core.errors import InputError


def standard_errors(shoppers: int, *, alpha: float, planned_shoppers: int) -> float:
    """Half the width of a confidence sequence of level 1 - `alpha`, in standard errors of the estimate.

    The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas ("Time-uniform central limit
    theory and asymptotic confidence sequences", Annals of Statistics 52(6), 2024, theorem 2.2): with t the number of
    shoppers and s the standard deviation, the half width is
    s sqrt(2 (t r² + 1) / (t² r²) log(sqrt(t r² + 1) / alpha)), here divided by s / sqrt(t). The probability that the
    truth is ever outside is at most `alpha`, so that anybody may look at any time and stop. r sets when the interval
    is narrowest relative to one that holds at a single time: about at `planned_shoppers`, by their approximation
    r² = (-2 log alpha + log(-2 log alpha) + 1) / planned_shoppers. At alpha
    0.05 it is 1.55 times as wide as the fixed one there, 1.92 times at a tenth and 1.66 times at ten times as many.

    As the fixed one of the central limit theorem it needs more than a few shoppers: callers look from some minimum on.
    Raises InputError for less than one shopper and an alpha outside 0 to 1.
    """
    if shoppers < 1 or planned_shoppers < 1 or not 0.0 < alpha < 1.0:
        found = f"shoppers {shoppers}, planned_shoppers {planned_shoppers}, alpha {alpha}"
        raise InputError("an interval needs shoppers and an alpha between 0 and 1", where="experiments", found=found)
    doubled = -2.0 * np.log(alpha)
    # Below alpha 0.6 or so, where this is above 1, the logarithm is positive.
    scale = shoppers / planned_shoppers * (doubled + np.log(np.maximum(doubled, 1.0)) + 1.0)
    return float(np.sqrt((1.0 + 1.0 / scale) * (np.log1p(scale) + doubled)))
