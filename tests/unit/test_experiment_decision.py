"""Decisions about experiments: a table of cases, and all arms together."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from freshet.contracts.experiments import DECISIONS
from freshet.experiments.decision import ArmDecision, Verdict, decisions
from freshet.experiments.experiment import Experiment, GuardRail
from freshet.experiments.moments import ArmMoments
from freshet.experiments.sample_ratio import sample_ratio
from tests.experiments_data import PARAMS, experiment

pytestmark = pytest.mark.unit

TWO = experiment(0.5, 0.5)
WITH_RAIL = replace(TWO, guard_rails=(GuardRail("conversion", 0.05),))


def arm(mean: float, shoppers: int = 1_000, spread: float = 1.0) -> ArmMoments:
    """Half of the shoppers above the mean and half below it, both by `spread`."""
    return ArmMoments.of_values(mean + spread * np.tile([-1.0, 1.0], shoppers // 2))


def decided(
    control: float, treatment: float, one: Experiment = TWO, *, rail: tuple[float, float] = (0.5, 0.5),
    is_over: bool = False, **spread: Any,
) -> ArmDecision:  # fmt: skip
    moments = {
        name: {"revenue": arm(mean, **spread), "conversion": arm(rate, spread=0.05)}
        for name, mean, rate in (("control", control, rail[0]), ("b", treatment, rail[1]))
    }
    (found,) = decisions(one, moments, PARAMS, is_over=is_over)
    return found


# With 1,000 shoppers in each arm and a standard deviation of 1 the interval is about 0.136 to each side.
@pytest.mark.parametrize(
    ("treatment", "verdict", "said"),
    [
        (10.5, "ship", "revenue differs by +0.5 (+0.3642 to +0.6358): better than control"),
        (10.1, "continue", "may be chance"),
        (9.9, "continue", "may be chance"),
        (9.5, "stop", "worse than control"),
    ],
)
def test_the_metric_decides_when_its_whole_interval_is_on_one_side(treatment: float, verdict: str, said: str) -> None:
    found = decided(10.0, treatment)
    assert found.verdict == verdict
    assert said in " ".join(found.reasons)
    assert found.comparisons["revenue"].difference == pytest.approx(treatment - 10.0)


def test_a_difference_that_is_not_sure_is_no_reason_to_go_on_when_the_time_is_over() -> None:
    found = decided(10.0, 10.1, is_over=True)
    assert (found.verdict, found.reasons[-1]) == ("stop", "its time is over")
    assert decided(10.0, 10.5, is_over=True).verdict == "ship"


@pytest.mark.parametrize(
    ("rail", "treatment", "verdict", "said"),
    [
        ((0.5, 0.5), 10.5, "ship", "conversion has not fallen by more than 5.00%"),
        ((0.5, 0.4), 10.5, "stop", "guard-rail conversion has fallen by more than 5.00%"),
        ((0.5, 0.475), 10.5, "continue", "guard-rail conversion may have fallen by more than 5.00%"),
        ((0.5, 0.4), 10.0, "stop", "guard-rail conversion has fallen"),
        ((0.5, 0.4), 9.0, "stop", "worse than control"),
    ],
)
def test_guard_rails_stop_and_hold_up(rail: tuple[float, float], treatment: float, verdict: str, said: str) -> None:
    found = decided(10.0, treatment, WITH_RAIL, rail=rail)
    assert found.verdict == verdict
    assert any(said in reason for reason in found.reasons), found.reasons
    assert set(found.comparisons) == {"revenue", "conversion"}


def test_a_guard_rail_that_nothing_is_known_of_holds_up() -> None:
    moments = {name: {"revenue": arm(mean)} for name, mean in (("control", 10.0), ("b", 11.0))}
    (found,) = decisions(WITH_RAIL, moments, PARAMS, is_over=False)
    assert (found.verdict, found.reasons[-1]) == ("continue", "guard-rail conversion cannot be compared yet")


def test_of_several_guard_rails_each_must_be_surer() -> None:
    two = replace(WITH_RAIL, guard_rails=(*WITH_RAIL.guard_rails, GuardRail("clicks", 0.05)))
    # The first rate at which the guard-rail alone is broken.
    rate = next(rate for rate in np.arange(0.475, 0.4, -0.0001)
                if decided(10.0, 10.0, WITH_RAIL, rail=(0.5, rate)).verdict == "stop")  # fmt: skip
    assert decided(10.0, 10.0, two, rail=(0.5, rate)).verdict == "continue"
    assert decided(10.0, 10.0, two, rail=(0.5, rate - 0.003)).verdict == "stop"


def test_an_improvement_too_small_to_be_worth_it_ends_the_experiment() -> None:
    wanted = replace(TWO, minimum_effect=0.05)
    found = decided(10.0, 10.2, wanted)
    assert found.verdict == "stop"
    assert "an improvement by 5.00% is ruled out" in found.reasons[0]
    assert decided(10.0, 10.45, wanted).verdict == "ship"  # it may still be as large as wanted
    assert decided(10.0, 10.2).verdict == "ship"


def test_arms_of_the_wrong_size_make_every_figure_invalid() -> None:
    moments = {"control": {"revenue": arm(10.0, 1_300)}, "b": {"revenue": arm(12.0, 1_000)}}
    (found,) = decisions(TWO, moments, PARAMS, is_over=True)
    assert found.verdict == "invalid"
    assert "numbers of shoppers (control 1300, b 1000) do not fit the shares (control 0.5, b 0.5)" in found.reasons[0]
    # A single chi-square test would already be below the threshold, which at some look it is sooner or later.
    moments["control"]["revenue"] = arm(10.0, 1_160)
    assert sample_ratio([1_160, 1_000], [1, 1]).p_value < PARAMS.sample_ratio_alpha
    assert decisions(TWO, moments, PARAMS, is_over=True)[0].verdict == "ship"
    moments["control"]["revenue"] = arm(10.0, 1_300)
    unequal = experiment(0.65, 0.5)
    assert decisions(unequal, moments, PARAMS, is_over=True)[0].verdict == "ship"


def test_few_shoppers_or_equal_ones_are_no_evidence() -> None:
    found = decided(10.0, 30.0, shoppers=48)
    assert found.verdict == "continue"
    assert "48 shoppers in the smaller arm, 50 needed" in found.reasons[0]
    assert decided(0.0, 0.0, spread=0.0).verdict == "continue"
    nobody = decisions(TWO, {}, PARAMS, is_over=False)
    assert nobody[0].verdict == "continue"
    assert decisions(TWO, {}, PARAMS, is_over=True)[0].verdict == "stop"


def test_of_several_arms_each_is_compared_with_control_and_must_be_surer() -> None:
    four = experiment(0.25, 0.25, 0.25, 0.25)
    moments = {name: {"revenue": arm(mean)} for name, mean in (("control", 10.0), ("b", 10.5), ("c", 9.5), ("d", 10.0))}
    found = decisions(four, moments, PARAMS, is_over=False)
    assert [(one.arm, one.verdict) for one in found] == [("b", "ship"), ("c", "stop"), ("d", "continue")]
    alone = decided(10.0, 10.5).comparisons["revenue"]
    among = found[0].comparisons["revenue"]
    assert alone.low is not None
    assert among.low is not None
    assert among.low < alone.low


def test_equal_arms_are_rarely_shipped_by_whoever_looks_every_day() -> None:
    rng, ended = np.random.default_rng(7), 0
    for _ in range(150):
        arms: list[list[float]] = [[], []]
        verdicts = set()
        for _ in range(30):
            for values in arms:
                values.extend((rng.lognormal(2.0, 1.0, 60) * (rng.random(60) < 0.2)).tolist())
            moments = {name: {"revenue": ArmMoments.of_values(values)} for name, values in
                       zip(("control", "b"), arms, strict=True)}  # fmt: skip
            verdicts.add(decisions(TWO, moments, PARAMS, is_over=False)[0].verdict)
        ended += bool(verdicts - {"continue"})
    assert ended / 150 <= 0.06


def test_the_table_knows_every_verdict() -> None:
    assert get_args(Verdict) == DECISIONS
