"""Logistic regression over tasks: against a general-purpose minimiser, and the same however rows are spread."""

import numpy as np
import pytest
from scipy.optimize import minimize

from freshet.models.propensity.newton import Cases, Fit, Penalty, logistic_fit
from freshet.numeric.collective import Alone
from tests.gang import in_tasks

pytestmark = pytest.mark.unit

COLUMNS = 5
NO_PENALTY = Penalty(np.zeros(COLUMNS), np.zeros(COLUMNS))


def drawn(seed: int, rows: int = 400) -> Cases:
    random = np.random.default_rng(seed)
    values = random.standard_normal((rows, COLUMNS)).astype(np.float32)
    odds = values @ np.array([1.5, -1.0, 0.0, 0.3, 0.0]) - 0.7
    return Cases(values, (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(float), random.random(rows) + 0.1)


def objective(point: np.ndarray, cases: Cases, penalty: Penalty) -> float:
    """As the module states it, in one line of its own."""
    signs = np.where(cases.labels == 1, 1.0, -1.0)
    losses = np.logaddexp(0, -signs * (cases.rows.astype(float) @ point[:-1] + point[-1]))
    return float(np.average(losses, weights=cases.weights)) + penalty.at(point[:-1])


def fitted(cases: Cases, penalty: Penalty, tasks: int = 1, max_iter: int = 100) -> Fit:
    parts = [[Cases(*(array[rank::tasks] for array in cases))] for rank in range(tasks)]
    fits = in_tasks(lambda part, peers: logistic_fit(part, penalty, peers, max_iter=max_iter, tol=1e-10), parts)
    assert all(np.array_equal(fit.coefficients, fits[0].coefficients) for fit in fits)
    return fits[0]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("reg_param", [0.0, 0.01, 1.0])
def test_with_a_ridge_it_finds_what_bfgs_finds(seed: int, reg_param: float) -> None:
    cases, penalty = drawn(seed), Penalty(np.full(COLUMNS, reg_param), np.zeros(COLUMNS))
    fit = fitted(cases, penalty)
    known = minimize(objective, np.zeros(COLUMNS + 1), (cases, penalty), method="BFGS", options={"gtol": 1e-9}).x
    assert np.append(fit.coefficients, fit.intercept) == pytest.approx(known, abs=2e-5)
    assert fit.converged
    assert fit.passes <= 8


@pytest.mark.parametrize("seed", [1, 2])
def test_with_a_lasso_no_small_move_helps_and_useless_columns_are_0(seed: int) -> None:
    cases, penalty = drawn(seed), Penalty(np.full(COLUMNS, 0.01), np.full(COLUMNS, 0.04))
    fit = fitted(cases, penalty)
    point = np.append(fit.coefficients, fit.intercept)
    assert fit.coefficients[[2, 4]].tolist() == [0.0, 0.0]
    assert abs(fit.coefficients[0]) > 0.5
    best = objective(point, cases, penalty)
    moves = np.concatenate([np.eye(COLUMNS + 1), -np.eye(COLUMNS + 1)]) * 1e-3
    assert min(objective(point + move, cases, penalty) for move in moves) > best


@pytest.mark.parametrize("tasks", [2, 4])
def test_the_same_from_one_and_from_several_tasks(tasks: int) -> None:
    cases, penalty = drawn(3), Penalty(np.full(COLUMNS, 0.01), np.zeros(COLUMNS))
    one, several = fitted(cases, penalty), fitted(cases, penalty, tasks)
    assert several.coefficients == pytest.approx(one.coefficients, abs=1e-6)
    assert several.intercept == pytest.approx(one.intercept, abs=1e-6)


def test_a_weight_counts_like_that_many_rows() -> None:
    cases = drawn(4, rows=60)
    times = np.random.default_rng(0).integers(0, 4, 60)
    weighted = fitted(cases._replace(weights=times.astype(float)), NO_PENALTY)
    repeated = fitted(
        Cases(*(np.repeat(array, times, axis=0) for array in cases))._replace(weights=np.ones(times.sum())), NO_PENALTY
    )
    assert weighted.coefficients == pytest.approx(repeated.coefficients, abs=1e-5)


def test_the_intercept_alone_is_the_log_odds_of_the_base_rate() -> None:
    labels = np.repeat([1.0, 0.0], [30, 70])
    cases = Cases(np.zeros((100, COLUMNS), np.float32), labels, np.ones(100))
    fit = fitted(cases, NO_PENALTY)
    assert fit.intercept == pytest.approx(np.log(0.3 / 0.7))
    assert fit.coefficients.tolist() == [0.0] * COLUMNS


@pytest.mark.parametrize(("label", "intercept"), [(0.0, -np.inf), (1.0, np.inf)])
def test_one_label_alone_makes_an_infinite_intercept(label: float, intercept: float) -> None:
    cases = drawn(5)._replace(labels=np.full(400, label))
    fit = fitted(cases, NO_PENALTY)
    assert (fit.coefficients.tolist(), fit.intercept) == ([0.0] * COLUMNS, intercept)


def test_repeated_and_constant_columns_do_no_harm() -> None:
    cases = drawn(6)
    values = cases.rows.copy()
    values[:, 3], values[:, 4] = values[:, 0], 0.0
    fit = fitted(cases._replace(rows=values), NO_PENALTY)
    alone = fitted(cases._replace(rows=values * np.float32([1, 1, 1, 0, 0])), NO_PENALTY)
    assert fit.coefficients[0] + fit.coefficients[3] == pytest.approx(alone.coefficients[0], abs=1e-4)
    assert fit.coefficients[4] == 0.0


def test_classes_that_a_line_parts_end_at_the_last_step_with_finite_numbers() -> None:
    values = np.linspace(-1, 1, 50)[:, None].astype(np.float32)
    cases = [Cases(values, (values[:, 0] > 0).astype(float), np.ones(50))]
    fit = logistic_fit(cases, Penalty(np.zeros(1), np.zeros(1)), Alone(), max_iter=12, tol=1e-10)
    assert np.isfinite(fit.coefficients).all()
    assert not fit.converged


def test_a_task_without_rows_takes_part() -> None:
    cases = drawn(7)
    none = Cases(*(array[:0] for array in cases))
    parts = [[cases], [none], []]
    fits = in_tasks(lambda part, peers: logistic_fit(part, NO_PENALTY, peers, max_iter=50, tol=1e-10), parts)
    assert fits[2].coefficients == pytest.approx(fitted(cases, NO_PENALTY).coefficients, abs=1e-6)


@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("l1", [0.0, 0.02])
def test_first_steps_over_a_part_of_many_rows_lead_to_the_same_minimum_in_fewer_passes(
    monkeypatch: pytest.MonkeyPatch, tasks: int, l1: float
) -> None:
    cases, penalty = drawn(8, rows=40_000), Penalty(np.full(COLUMNS, 0.001), np.full(COLUMNS, l1))
    plain = fitted(cases, penalty, tasks)
    monkeypatch.setattr("freshet.models.propensity.newton._MANY_ROWS", 40_000)
    fit = fitted(cases, penalty, tasks)
    assert fit.coefficients == pytest.approx(plain.coefficients, abs=1e-5)
    assert fit.intercept == pytest.approx(plain.intercept, abs=1e-5)
    assert fit.converged
    assert fit.passes < plain.passes


@pytest.mark.parametrize(
    ("tol", "l1", "passes"),
    [(1e-4, 0.0, 4), (1e-6, 0.0, 4), (1e-9, 0.0, 5), (1e-4, 0.02, 4), (1e-6, 0.02, 4), (1e-9, 0.02, 4)],
)
def test_no_pass_looks_at_a_minimum_that_the_last_step_is_sure_to_have_reached(
    tol: float, l1: float, passes: int
) -> None:
    cases, penalty = drawn(11, rows=20_000), Penalty(np.full(COLUMNS, 0.001), np.full(COLUMNS, l1))
    best = fitted(cases, penalty)
    fit = logistic_fit([cases], penalty, Alone(), max_iter=100, tol=tol)
    point, known = (np.append(found.coefficients, found.intercept) for found in (fit, best))
    lowest = objective(known, cases, penalty)
    assert objective(point, cases, penalty) - lowest < tol * lowest
    assert fit.converged
    assert fit.passes == passes


@pytest.mark.parametrize("max_iter", [3, 6])
def test_gains_that_fall_slowly_are_followed_to_the_last_step(max_iter: int) -> None:
    """Parted classes: every step gains about a third of the one before, for ever."""
    values = np.linspace(-1, 1, 50)[:, None].astype(np.float32)
    cases = [Cases(values, (values[:, 0] > 0).astype(float), np.ones(50))]
    fit = logistic_fit(cases, Penalty(np.zeros(1), np.zeros(1)), Alone(), max_iter=max_iter, tol=1e-3)
    assert fit.passes == max_iter + 1


@pytest.mark.parametrize("first", ["parted by a line", "alike", "without weight"])
def test_a_part_that_says_nothing_of_the_whole_does_no_harm(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    cases, every = drawn(9, rows=800), slice(None, None, 8)
    plain = fitted(cases, NO_PENALTY)
    if first == "without weight":
        cases.weights[every] = 0.0
        plain = fitted(cases, NO_PENALTY)
    elif first == "alike":
        cases.weights[every] *= 1e-9
        cases.labels[every] = 1.0
    else:
        cases.weights[every] *= 1e-9
        cases.labels[every] = cases.rows[every, 4] > 0
    monkeypatch.setattr("freshet.models.propensity.newton._MANY_ROWS", 800)
    with np.errstate(divide="raise", invalid="raise"):
        fit = fitted(cases, NO_PENALTY)
    if first != "without weight":
        # The part has hardly any weight, so the minimum is that of the others.
        others = Cases(*(np.delete(part, np.arange(0, 800, 8), axis=0) for part in cases))
        plain = fitted(others, NO_PENALTY)
    assert fit.coefficients == pytest.approx(plain.coefficients, abs=1e-4)
    assert fit.converged


def test_a_part_that_says_the_opposite_of_the_whole_costs_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    cases, every = drawn(10, rows=800), slice(None, None, 8)
    cases.weights[every] *= 1e-9
    cases.labels[every] = cases.rows[every, 0] < 0
    plain = fitted(cases, NO_PENALTY)
    monkeypatch.setattr("freshet.models.propensity.newton._MANY_ROWS", 800)
    fit = fitted(cases, NO_PENALTY)
    assert fit.coefficients == pytest.approx(plain.coefficients, abs=1e-4)
    # The look at what the part has found, and the part's own steps, each an eighth of a pass.
    assert fit.passes <= plain.passes + 3
