"""Values of policies: equal to sums written out, right for logs drawn from known policies, refusals."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from freshet.core.errors import InputError
from freshet.experiments.counterfactual.estimators import ESTIMATORS, effective_rounds, policy_value, policy_values
from freshet.experiments.counterfactual.logged_rounds import LoggedRounds
from freshet.experiments.intervals import skewness_corrected
from tests.logged_policies import WORLDS, World, covered

pytestmark = pytest.mark.unit

ROUNDS = LoggedRounds(
    reward=[1, 0, 1, 0], propensity=[0.5, 0.25, 0.1, 1.0], probability=[0.25, 0.5, 0.4, 0.0],
    predicted=[0.5, 0.25, 0.75, 0.0], expected=[0.4, 0.3, 0.6, 0.1],
)  # fmt: skip
"""Weights 0.5, 2, 4 and 0."""


@pytest.mark.parametrize(
    ("estimator", "value"),
    [
        ("ips", (0.5 + 0 + 4 + 0) / 4),
        ("snips", (0.5 + 4) / 6.5),
        ("dm", 0.35),
        ("dr", 0.35 + (0.5 * 0.5 - 2 * 0.25 + 4 * 0.25) / 4),
        ("sndr", 0.35 + (0.5 * 0.5 - 2 * 0.25 + 4 * 0.25) / 6.5),
    ],
)
def test_values_of_four_rounds(estimator: str, value: float) -> None:
    found = policy_value(ROUNDS, estimator)
    assert found.value == pytest.approx(value, abs=1e-12)
    assert (found.estimator, found.rounds, found.clusters) == (estimator, 4, 4)
    assert found.effective_rounds == pytest.approx(6.5**2 / (0.25 + 4 + 16))


def test_weights_are_clipped() -> None:
    assert policy_value(ROUNDS, "ips", max_weight=2.0).value == pytest.approx((0.5 + 2) / 4)
    assert policy_value(ROUNDS, "dr", max_weight=2.0).value == pytest.approx(0.35 + (0.25 - 0.5 + 0.5) / 4)
    assert policy_value(ROUNDS, "dm", max_weight=2.0).value == policy_value(ROUNDS, "dm").value


_round = st.tuples(
    st.floats(-2, 2), st.floats(0.05, 1), st.floats(0, 1), st.floats(-1, 1), st.floats(-1, 1), st.integers(0, 3)
)


@given(st.lists(_round, min_size=1, max_size=12), st.one_of(st.none(), st.floats(0.5, 10)))
def test_estimators_are_sums_over_rounds(rows: list[tuple[Any, ...]], max_weight: float | None) -> None:
    rounds = LoggedRounds(*(list(column) for column in list(zip(*rows, strict=True))[:3]),
                          predicted=[row[3] for row in rows], expected=[row[4] for row in rows])  # fmt: skip
    weight = [min(probability / propensity, max_weight or math.inf) for _, propensity, probability, *_ in rows]
    count, total = len(rows), math.fsum(weight)
    gained = math.fsum(w * row[0] for w, row in zip(weight, rows, strict=True))
    missed = math.fsum(w * (row[0] - row[3]) for w, row in zip(weight, rows, strict=True))
    model = math.fsum(row[4] for row in rows) / count
    expected = {"ips": gained / count, "dm": model, "dr": model + missed / count}
    if total > 0.0:
        expected |= {"snips": gained / total, "sndr": model + missed / total}
    for name, value in expected.items():
        assert policy_value(rounds, name, max_weight=max_weight).value == pytest.approx(value, rel=1e-9, abs=1e-9)


def test_the_logging_policy_itself_has_the_mean_reward() -> None:
    rounds = replace(WORLDS["plain"].drawn(3), predicted=None, expected=None)
    same = replace(rounds, probability=rounds.propensity)
    for found in policy_values(same):
        assert found.value == pytest.approx(rounds.reward.mean())
        assert found.effective_rounds == pytest.approx(len(rounds))
    assert [found.estimator for found in policy_values(same)] == ["ips", "snips"]


def test_means_over_many_logs_are_the_truth_and_a_wrong_model_alone_is_not() -> None:
    world = World(rounds=500, rate=0.3, sharpness=1.0, model_error=1.0)
    found = [policy_values(world.drawn(seed)) for seed in range(300)]
    means = {name: np.mean([values[n].value for values in found]) for n, name in enumerate(ESTIMATORS)}
    for name in ("ips", "snips", "dr", "sndr"):
        assert means[name] == pytest.approx(world.truth, abs=0.01), name
    assert abs(means["dm"] - world.truth) > 0.1


@pytest.mark.parametrize("world", ["plain", "few_rounds", "shoppers"])
def test_intervals_hold_the_truth_as_often_as_they_say(world: str) -> None:
    # Of 400 draws with probability 0.95 the share is within three standard errors, 0.033.
    for name, share in covered(WORLDS[world], 400).items():
        assert 0.917 <= share <= 0.983, name


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_influence_of_a_round_is_what_its_absence_changes(estimator: str) -> None:
    rounds = WORLDS["few_rounds"].drawn(4)
    # Weights that are not 1 on average, as those of a policy that does something else half of the time.
    rounds = replace(rounds, probability=rounds.probability / 2)
    found, count = policy_value(rounds, estimator), len(rounds)
    without = np.array([policy_value(rounds.only(np.arange(count) != n), estimator).value for n in range(count)])
    jackknife = skewness_corrected(found.value, (without.mean() - without) * (count - 1) / count, level=0.95)
    assert (found.low, found.high) == pytest.approx(jackknife, rel=3e-3)


def test_without_clusters_the_intervals_of_shoppers_with_habits_are_too_narrow() -> None:
    rounds = WORLDS["shoppers"].drawn(1)
    by_shopper, by_round = (policy_value(one, "ips") for one in (rounds, replace(rounds, cluster=None)))
    assert by_shopper.value == by_round.value
    assert by_shopper.clusters < by_round.clusters == len(rounds)
    assert _width(by_shopper) > 1.05 * _width(by_round)


def test_every_round_twice_in_a_cluster_changes_no_interval() -> None:
    rounds = WORLDS["few_rounds"].drawn(2)
    twice = LoggedRounds(
        **{name: np.tile(getattr(rounds, name), 2)
           for name in ("reward", "propensity", "probability", "predicted", "expected")},
        cluster=[f"s{n}" for n in [*range(len(rounds))] * 2],
    )  # fmt: skip
    for name in ESTIMATORS:
        one, other = policy_value(rounds, name), policy_value(twice, name)
        assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high))


def _width(found: Any) -> float:
    return float(found.high - found.low)


def test_without_skewness_the_interval_is_that_of_students_t() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = skewness_corrected(3.0, (values - 3.0) / 5, level=0.9)
    assert found == pytest.approx(stats.t.interval(0.9, 4, loc=3.0, scale=stats.sem(values)))


def test_with_rare_large_values_the_interval_reaches_further_up_than_down() -> None:
    values = np.array([0.0] * 95 + [1.0] * 5)
    found = skewness_corrected(0.05, (values - 0.05) / 100, level=0.95)
    mirrored = skewness_corrected(-0.05, -(values - 0.05) / 100, level=0.95)
    assert found is not None
    assert mirrored is not None
    assert found.high - 0.05 > 1.2 * (0.05 - found.low)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))
    symmetric = stats.t.interval(0.95, 99, loc=0.05, scale=stats.sem(values))
    assert found.high > symmetric[1]
    assert found.low > symmetric[0]


def test_there_is_no_interval_without_spread() -> None:
    nothing = replace(ROUNDS, reward=[0, 0, 0, 0], predicted=None, expected=None)
    for one in policy_values(nothing):
        assert (one.value, one.low, one.high) == (0.0, None, None)
    all_alike = LoggedRounds(reward=[0.7] * 7, propensity=[0.3] * 7, probability=[0.1] * 7)
    earned = all_alike.reward * (0.1 / 0.3)
    assert np.any(earned != earned.mean()), "the mean of equal numbers is rounded"
    assert policy_value(all_alike, "ips").low is None
    alone = policy_value(replace(ROUNDS, cluster=["s", "s", "s", "s"]), "ips")
    assert (alone.low, alone.high, alone.clusters) == (None, None, 1)


def test_rounds_of_each_position() -> None:
    found = replace(ROUNDS, position=[2, 1, 2, 1]).by_position()
    assert [(place, one.reward.tolist()) for place, one in found.items()] == [(1, [0.0, 0.0]), (2, [1.0, 1.0])]
    with pytest.raises(InputError, match="positions are not known"):
        ROUNDS.by_position()


GOOD: dict[str, Any] = {"reward": [1, 0], "propensity": [0.5, 0.5], "probability": [0.5, 0.5]}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"propensity": [0.5, 0.0]}, r"propensity must be above 0 and at most 1, is 0\.0 in round 1"),
        ({"propensity": [1.5, -0.1]}, "is 1.5 in round 0 and wrong in 1 more"),
        ({"propensity": [math.nan, 0.5]}, "propensity must hold finite numbers, is nan in round 0"),
        ({"propensity": [None, 0.5]}, "propensity must hold finite numbers"),
        ({"probability": [0.5, 1.0001]}, "probability must be from 0 to 1"),
        ({"probability": [-1e-9, 1]}, "probability must be from 0 to 1"),
        ({"reward": [math.inf, 0]}, "reward must hold finite numbers, is inf"),
        ({"reward": ["a", 0]}, "reward must hold numbers"),
        ({"reward": [1]}, "lengths differ: reward 1, propensity 2, probability 2"),
        ({"reward": [[1, 0]]}, "reward must have one dimension, has 2"),
        ({"predicted": [0, 0]}, "predicted and expected are given together or not at all"),
        ({"predicted": [0, math.nan], "expected": [0, 0]}, "predicted must hold finite numbers"),
        ({"cluster": ["a"]}, "lengths differ: .* cluster 1"),
        ({"reward": [], "propensity": [], "probability": []}, "there are none"),
    ],
)
def test_rounds_that_cannot_be_evaluated_are_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        LoggedRounds(**{**GOOD, **changed})


def test_all_problems_of_rounds_are_told_at_once() -> None:
    with pytest.raises(InputError, match="3 problems") as caught:
        LoggedRounds(reward=[math.nan, 0], propensity=[0, 1], probability=[2, 0])
    assert "(3) probability" in caught.value.line()


@pytest.mark.parametrize(
    ("estimator", "options", "said"),
    [
        ("magic", {}, "no such estimator; expected ips, snips, dm, dr, sndr; found magic"),
        ("dr", {}, "needs predictions"),
        ("ips", {"max_weight": 0.0}, "weights are clipped above 0"),
        ("ips", {"max_weight": math.nan}, "weights are clipped above 0"),
        ("ips", {"level": 1.0}, "the level of an interval"),
    ],
)
def test_an_evaluation_that_makes_no_sense_is_refused(estimator: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        policy_value(LoggedRounds(**GOOD), estimator, **options)


def test_a_policy_that_takes_no_logged_action_cannot_be_normalised() -> None:
    elsewhere = LoggedRounds(**{**GOOD, "probability": [0, 0]})
    with pytest.raises(InputError, match="takes none of the logged actions"):
        policy_value(elsewhere, "snips")
    found = policy_value(elsewhere, "ips")
    assert (found.value, found.low, found.effective_rounds) == (0.0, None, 0.0)
    assert effective_rounds(np.ones(7)) == pytest.approx(7.0)
