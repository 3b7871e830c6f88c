"""Differences between arms: means, ratios and covariates by hand and by resampling; intervals for every look."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from freshet.core.errors import InputError
from freshet.experiments.comparison import Sureness, compared
from freshet.experiments.moments import ArmMoments
from freshet.experiments.sequential import standard_errors
from tests.equal_arms import OUTCOMES, false_alarms

pytestmark = pytest.mark.unit

SURE = Sureness(alpha=0.05, planned_shoppers=2_000)


def _error(low: float | None, high: float | None, shoppers: int, sureness: Sureness = SURE) -> float:
    """The standard error behind an interval."""
    assert low is not None
    assert high is not None
    width = standard_errors(shoppers, alpha=sureness.alpha, planned_shoppers=sureness.planned_shoppers)
    return (high - low) / 2 / width


def test_of_means_it_is_the_plain_difference_with_the_standard_error_of_welch() -> None:
    control, treatment = [1.0, 2.0, 3.0, 6.0], [4.0, 4.0, 7.0]
    found = compared(ArmMoments.of_values(control), ArmMoments.of_values(treatment), SURE)
    assert found.difference == pytest.approx(5.0 - 3.0)
    error = math.sqrt(np.var(control, ddof=1) / 4 + np.var(treatment, ddof=1) / 3)
    assert _error(found.low, found.high, 7) == pytest.approx(error)
    assert found.variance_kept == 1.0


def test_times_scales_the_control() -> None:
    control, treatment = ArmMoments.of_values([1.0, 2.0, 3.0]), ArmMoments.of_values([2.0, 4.0, 6.0])
    found = compared(control, treatment, SURE, times=1.5)
    assert found.difference == pytest.approx(4.0 - 3.0)
    assert _error(found.low, found.high, 6) == pytest.approx(math.sqrt(1.5**2 / 3 + 4 / 3))


def _clicks(rng: np.random.Generator, shoppers: int, rate: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clicks and lists; who sees more lists clicks more often on each."""
    lists = rng.geometric(0.3, shoppers)
    return rng.binomial(lists, np.minimum(1.0, rate * (0.5 + 0.1 * lists))), lists


def test_of_ratios_the_error_is_what_new_shoppers_would_change() -> None:
    rng = np.random.default_rng(1)
    drawn = [(ArmMoments.of_values(*_clicks(rng, 400, 0.1)), ArmMoments.of_values(*_clicks(rng, 600, 0.15)))
             for _ in range(1_500)]  # fmt: skip
    found = [compared(control, treatment, SURE) for control, treatment in drawn]
    spread = np.std([one.difference for one in found])
    errors = [_error(one.low, one.high, 1_000) for one in found]
    assert np.mean(errors) == pytest.approx(spread, rel=0.06)
    control, treatment = drawn[0]
    assert found[0].difference == pytest.approx(treatment.value - control.value)


def test_lists_instead_of_shoppers_as_units_would_be_too_sure() -> None:
    clicks, lists = _clicks(np.random.default_rng(2), 4_000, 0.1)
    arm = ArmMoments.of_values(clicks, lists)
    found = compared(arm, arm, SURE)
    rate = clicks.sum() / lists.sum()
    assert arm.value == pytest.approx(rate)
    naive = math.sqrt(2 * rate * (1 - rate) / lists.sum())
    assert _error(found.low, found.high, 8_000) > 1.05 * naive


def test_a_covariate_takes_away_what_it_explains_and_no_more() -> None:
    rng = np.random.default_rng(3)
    effects, errors, kept = [], [], []
    for _ in range(400):
        before = rng.gamma(2.0, size=1_000)
        spent = 3 * before + rng.normal(scale=3.0, size=1_000)
        is_treated = rng.random(1_000) < 0.4
        spent = spent + 0.5 * is_treated
        arms = [ArmMoments.of_values(spent[mine], covariate=before[mine]) for mine in (~is_treated, is_treated)]
        found = compared(*arms, SURE)
        effects.append(found.difference)
        errors.append(_error(found.low, found.high, 1_000))
        kept.append(found.variance_kept)
    assert np.mean(effects) == pytest.approx(0.5, abs=0.03)
    assert np.mean(errors) == pytest.approx(np.std(effects), rel=0.08)
    # Of the variance 9 * 2 + 9 the covariate explains 9 * 2.
    assert np.mean(kept) == pytest.approx(1 / 3, abs=0.01)


def test_a_covariate_of_equal_shoppers_changes_nothing() -> None:
    plain = [ArmMoments.of_values(values) for values in ([1.0, 2.0, 3.0], [2.0, 5.0])]
    same = [ArmMoments.of_values(values, covariate=[7.0] * len(values)) for values in ([1.0, 2.0, 3.0], [2.0, 5.0])]
    assert compared(*same, SURE) == compared(*plain, SURE)


def test_the_mean_of_a_covariate_does_not_matter() -> None:
    spent, before = [1.0, 4.0, 3.0, 9.0], np.array([0.0, 2.0, 1.0, 3.0])
    found = [
        compared(ArmMoments.of_values(spent[:2], covariate=covariate[:2]),
                 ArmMoments.of_values(spent[2:], covariate=covariate[2:]), SURE, times=1.5)
        for covariate in (before, before + 100.0)
    ]  # fmt: skip
    assert found[0].difference == pytest.approx(found[1].difference)


def test_the_slope_is_that_of_a_regression_with_a_constant_for_each_arm() -> None:
    rng = np.random.default_rng(4)
    before, is_treated = rng.normal(size=50), np.arange(50) < 20
    spent = before + rng.normal(size=50) + is_treated
    found = compared(*(ArmMoments.of_values(spent[mine], covariate=before[mine]) for mine in (~is_treated, is_treated)),
                     SURE)  # fmt: skip
    design = np.column_stack([np.ones(50), is_treated, before])
    assert found.difference == pytest.approx(np.linalg.lstsq(design, spent, rcond=None)[0][1])


def test_there_is_no_interval_where_nothing_is_known_of_the_spread() -> None:
    few, more = ArmMoments.of_values([1.0, 2.0]), ArmMoments.of_values([1.0, 2.0, 4.0])
    assert compared(few, more, SURE).low is not None
    assert compared(few, more, Sureness(0.05, 2_000, min_shoppers=3)).low is None
    equal = compared(ArmMoments.of_values([0.7 / 3] * 7), ArmMoments.of_values([0.1 / 3] * 6), SURE)
    assert (equal.low, equal.difference) == (None, pytest.approx(-0.2))
    for empty in (ArmMoments.of_values([]), ArmMoments.of_values([1.0, 0.0], [0.0, 0.0])):
        found = compared(empty, more, SURE)
        assert math.isnan(found.difference)
        assert (found.low, found.high) == (None, None)


@pytest.mark.parametrize("values", [([1.0], [1.0, 2.0]), ([math.nan], None), ([math.inf], None)])
def test_moments_of_what_is_no_number_are_refused(values: tuple[list[float], list[float] | None]) -> None:
    with pytest.raises(InputError, match=r"different lengths|finite"):
        ArmMoments.of_values(*values)


def test_half_widths_by_hand() -> None:
    """The theorem's formula, at t = 500 with sigma 1, and the best r for t = 2,000 as it is written."""
    alpha, planned, t = 0.1, 2_000, 500
    r = math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha)) + 1) / planned)
    half = math.sqrt(2 * (t * r**2 + 1) / (t**2 * r**2) * math.log(math.sqrt(t * r**2 + 1) / alpha))
    assert standard_errors(t, alpha=alpha, planned_shoppers=planned) / math.sqrt(t) == pytest.approx(half)


def test_intervals_are_narrowest_near_the_planned_number_and_wider_than_fixed_ones() -> None:
    widths = {t: standard_errors(t, alpha=0.05, planned_shoppers=2_000) for t in (20, 200, 1_000, 2_000, 4_000, 20_000)}
    assert min(widths, key=lambda t: widths[t]) == 2_000
    assert all(width > 1.5 * 1.96 for width in widths.values())


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"alpha": 1.0}, {"planned_shoppers": 0}])
def test_intervals_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        standard_errors(10, **{"alpha": 0.05, "planned_shoppers": 100, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_equal_arms_are_seldom_told_apart_however_often_one_looks(outcome: str) -> None:
    found = false_alarms(outcome, shops=400, shoppers=1_500, first_look=100, seed=1)
    assert found.always_valid <= 0.05
    assert found.fixed > 0.2


def test_the_simulated_looks_are_those_of_the_comparison() -> None:
    found = false_alarms("revenue", shops=2, shoppers=300, first_look=100, seed=5)
    for control, treatment, look, low, high in found.some_looks:
        one = compared(ArmMoments.of_values(control), ArmMoments.of_values(treatment), SURE)
        assert (one.low, one.high) == pytest.approx((low, high)), look
