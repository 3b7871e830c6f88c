"""Estimators of the value of a policy from rounds that another one has logged.

With w = probability / propensity the importance weight, r the reward, q a model's prediction for the logged action and
Q its expectation under the evaluated policy, all means over rounds:

- `ips`, inverse propensity score (Horvitz and Thompson 1952): mean(w r). Unbiased, wide where weights are large.
- `snips`, self-normalised (Swaminathan and Joachims 2015): mean(w r) / mean(w).
- `dm`, direct method: mean(Q). As good as the model; its interval knows nothing of the model's errors.
- `dr`, doubly robust (Dudík, Erhan, Langford and Li 2014): mean(Q + w (r - q)). Unbiased if propensities
  are right, and narrow if the model is good.
- `sndr`, self-normalised doubly robust: mean(Q) + mean(w (r - q)) / mean(w).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import InputError
from freshet.experiments.counterfactual.logged_rounds import LoggedRounds
from freshet.experiments.intervals import cluster_sums, skewness_corrected

Array = NDArray[np.float64]

_WHERE = "counterfactual evaluation"


@dataclass(frozen=True)
class PolicyValue:
    """The estimated mean reward per round of the evaluated policy, with its confidence interval.

    `low` and `high` are None where the rounds tell nothing of the spread: a single cluster, or no round with a reward.
    `effective_rounds` is (sum of w)² / sum of w² (Kish 1965): as many rounds of the evaluated policy itself would tell
    about as much; 0 if it takes none of the logged actions. Below a hundred or so an interval is not to be trusted.
    """

    estimator: str
    value: float
    low: float | None
    high: float | None
    effective_rounds: float
    rounds: int
    clusters: int


class _Estimated(NamedTuple):
    value: float
    influence: Array
    """Of each round; divided by their number it adds up to the error, to first order."""


def policy_value(
    rounds: LoggedRounds, estimator: str, *, max_weight: float | None = None, level: float = 0.95
) -> PolicyValue:
    """The estimate and its interval at `level`, a probability.

    `max_weight` clips importance weights from above: less variance, and a bias towards 0 (`ips`) or towards the model
    (`dr`) that the interval does not contain. The interval is asymptotic, studentised and corrected for skewness
    (`skewness_corrected`); estimators that are ratios are linearised (delta method). With `rounds.cluster` whole
    clusters are the independent units.

    Raises InputError for an unknown estimator, a `max_weight` that is not above 0, a `level` outside 0 to 1, an
    estimator that needs predictions where there are none, and a self-normalised one where all weights are 0.
    """
    _check(rounds, estimator, max_weight, level)
    weights = rounds.probability / rounds.propensity
    if max_weight is not None:
        weights = np.minimum(weights, max_weight)
    if estimator in _NORMALISED and not weights.any():
        raise InputError(
            "the evaluated policy takes none of the logged actions, so that there is nothing to normalise by",
            where=f"{_WHERE}, {estimator}",
        )
    found = ESTIMATORS[estimator](rounds, weights)
    sums = cluster_sums(found.influence / len(rounds), rounds.cluster)
    interval = skewness_corrected(found.value, sums, level=level)
    low, high = (None, None) if interval is None else interval
    return PolicyValue(estimator, found.value, low, high, effective_rounds(weights), len(rounds), len(sums))


def policy_values(
    rounds: LoggedRounds, *, max_weight: float | None = None, level: float = 0.95
) -> tuple[PolicyValue, ...]:
    """The estimates of all estimators that these rounds allow; those with a model only if there are predictions."""
    names = [name for name in ESTIMATORS if rounds.expected is not None or name not in _WITH_MODEL]
    return tuple(policy_value(rounds, name, max_weight=max_weight, level=level) for name in names)


def effective_rounds(weights: Array) -> float:
    """(sum of w)² / sum of w²; 0 where all weights are 0."""
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares > 0.0 else 0.0


def _check(rounds: LoggedRounds, estimator: str, max_weight: float | None, level: float) -> None:
    if estimator not in ESTIMATORS:
        raise InputError("there is no such estimator", where=_WHERE, expected=", ".join(ESTIMATORS), found=estimator)
    if max_weight is not None and not max_weight > 0.0:
        raise InputError("weights are clipped above 0", where=_WHERE, found=f"max_weight {max_weight}")
    if not 0.0 < level < 1.0:
        raise InputError("the level of an interval is between 0 and 1", where=_WHERE, found=f"level {level}")
    if estimator in _WITH_MODEL and rounds.expected is None:
        raise InputError(
            "this estimator needs predictions of a model", where=f"{_WHERE}, {estimator}",
            expected="logged rounds with predicted and expected",
        )  # fmt: skip


def _mean(values: Array) -> _Estimated:
    value = float(values.mean())
    return _Estimated(value, values - value)


def _weighted_mean(values: Array, weights: Array) -> _Estimated:
    value = float((weights * values).sum() / weights.sum())
    return _Estimated(value, weights * (values - value) / weights.mean())


def _predictions(rounds: LoggedRounds) -> tuple[Array, Array]:
    assert rounds.predicted is not None
    assert rounds.expected is not None
    return rounds.predicted, rounds.expected


def _ips(rounds: LoggedRounds, weights: Array) -> _Estimated:
    return _mean(weights * rounds.reward)


def _snips(rounds: LoggedRounds, weights: Array) -> _Estimated:
    return _weighted_mean(rounds.reward, weights)


def _dm(rounds: LoggedRounds, weights: Array) -> _Estimated:
    return _mean(_predictions(rounds)[1])


def _dr(rounds: LoggedRounds, weights: Array) -> _Estimated:
    predicted, expected = _predictions(rounds)
    return _mean(expected + weights * (rounds.reward - predicted))


def _sndr(rounds: LoggedRounds, weights: Array) -> _Estimated:
    predicted, expected = _predictions(rounds)
    model, rest = _mean(expected), _weighted_mean(rounds.reward - predicted, weights)
    return _Estimated(model.value + rest.value, model.influence + rest.influence)


ESTIMATORS: dict[str, Callable[[LoggedRounds, Array], _Estimated]] = {
    "ips": _ips, "snips": _snips, "dm": _dm, "dr": _dr, "sndr": _sndr,
}  # fmt: skip
"""By name, in the order in which results are shown."""

_WITH_MODEL = ("dm", "dr", "sndr")
_NORMALISED = ("snips", "sndr")
