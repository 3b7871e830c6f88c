"""The difference of a metric between two arms, with an interval that holds at every look."""

from dataclasses import dataclass

import numpy as np

from freshet.experiments.moments import COVARIATE, ArmMoments
from freshet.experiments.sequential import standard_errors

_ROUNDING = 1e-12
"""Standard errors of this share of the value are what remains where all shoppers have the same one."""


@dataclass(frozen=True)
class Comparison:
    """Treatment minus a multiple of control, in units of the metric.

    `low` and `high` are None where nothing is known of the spread: fewer shoppers than asked for in one of the arms, no
    denominator, or equal values of all shoppers. `variance_kept` is the share of the difference's variance that the
    covariate leaves: 1 without one.
    """

    difference: float
    low: float | None
    high: float | None
    variance_kept: float


@dataclass(frozen=True)
class Sureness:
    """How intervals are made: see `standard_errors`. `min_shoppers` is the fewest in each of the two arms."""

    alpha: float
    planned_shoppers: int
    min_shoppers: int = 2


def compared(control: ArmMoments, treatment: ArmMoments, sureness: Sureness, *, times: float = 1.0) -> Comparison:
    """The value of `treatment` minus `times` that of `control`; with `times` 1.02 its interval is above 0 if
    treatment is better by more than 2 %.

    The standard error of a ratio is that of the delta method. A covariate c is taken into account as in CUPED (Deng,
    Xu, Kohavi and Walker, "Improving the sensitivity of online controlled experiments by utilizing pre-experiment
    data", WSDM 2013): from each arm's value theta (mean of c in the arm - mean of c in both) is subtracted, theta the
    covariance of value and c within arms over the variance of c. Assignment by chance makes the mean of that 0, and
    less variance is left. `difference` is the adjusted one.
    """
    arms = (control, treatment)
    if any(arm.shoppers == 0 or not np.isfinite(arm.value) for arm in arms):
        return Comparison(float("nan"), None, None, 1.0)
    theta = _slope(control, treatment)
    both = sum(arm.shoppers * arm.mean[COVARIATE] for arm in arms) / sum(arm.shoppers for arm in arms)
    values, adjusted, plain = [], 0.0, 0.0
    for arm, weight in zip(arms, (-times, 1.0), strict=True):
        values.append(weight * (arm.value - theta * (arm.mean[COVARIATE] - both)))
        direction = arm.influence
        plain += weight**2 * _variance(direction, arm)
        adjusted += weight**2 * _variance(direction - theta * np.eye(3)[COVARIATE], arm)
    difference = float(sum(values))
    rounding = (_ROUNDING * max(abs(arm.value) for arm in arms)) ** 2
    if min(arm.shoppers for arm in arms) < sureness.min_shoppers or adjusted <= rounding:
        return Comparison(difference, None, None, 1.0)
    half = np.sqrt(adjusted) * standard_errors(
        control.shoppers + treatment.shoppers, alpha=sureness.alpha, planned_shoppers=sureness.planned_shoppers
    )
    return Comparison(difference, float(difference - half), float(difference + half), float(adjusted / plain))


def _slope(control: ArmMoments, treatment: ArmMoments) -> float:
    together, spread = 0.0, 0.0
    for arm in (control, treatment):
        degrees = arm.shoppers - 1
        together += degrees * float(arm.influence @ arm.covariance[:, COVARIATE])
        spread += degrees * float(arm.covariance[COVARIATE, COVARIATE])
    return together / spread if spread > 0.0 else 0.0


def _variance(direction: np.ndarray, arm: ArmMoments) -> float:
    """Of the arm's value: that of a shopper's linear combination, over the number of shoppers."""
    return float(direction @ arm.covariance @ direction) / arm.shoppers
