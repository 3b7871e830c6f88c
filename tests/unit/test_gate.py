"""The gate: a table of cases, and parameters that make no sense."""

import math
from dataclasses import replace

import pytest

from freshet.evaluation.gate import Difference, Judged, gate_decision
from freshet.evaluation.parameters import EvaluationParameters, GateParameters

pytestmark = pytest.mark.unit

GATE = GateParameters(metric="ndcg", k=10, champion_tolerance=0.01, baseline_tolerance=0.02, min_users=50)
BASKETS, NEW = "next_baskets", "new_items"
JUDGED = [Judged(BASKETS, 0.36, 900), Judged(NEW, 0.13, 800)]


def differences(against: str, value: float | None, low: float | None, high: float | None) -> list[Difference]:
    """The same difference on both tasks."""
    return [Difference(task, against, value, low, high, 800) for task in (BASKETS, NEW)]


BETTER = differences("popularity/all", 0.2, 0.18, 0.22)
LIKE_THE_CHAMPION = differences("champion", 0.0, -0.005, 0.005)


@pytest.mark.parametrize(
    ("champion", "accepted", "said"),
    [
        (differences("champion", 0.02, 0.01, 0.03), True, "not worse"),
        (differences("champion", -0.005, -0.01, 0.0), True, "not worse"),  # exactly the tolerance
        (differences("champion", -0.005, -0.0101, 0.0), False, "worse than the allowed -0.0100"),
        (differences("champion", 0.005, -0.02, 0.03), False, "worse"),  # better on average, but it may be chance
        (differences("champion", -0.009, None, None), True, "without an interval"),
        (differences("champion", -0.011, None, None), False, "without an interval"),
        (differences("champion", math.nan, 0.0, 0.1), False, "no figure"),
        (differences("champion", None, None, None), False, "no figure"),
        (differences("champion", 0.01, math.nan, 0.1), False, "no figure"),
        (differences("champion", 0.01, 0.0, None), False, "no figure"),
        (differences("champion", 0.01, 0.0, math.inf), False, "no figure"),
        (LIKE_THE_CHAMPION[:1], False, "new_items: there is no comparison with the champion"),
        (None, True, "no champion yet"),
    ],
)
def test_comparison_with_the_champion_decides(champion: list[Difference] | None, accepted: bool, said: str) -> None:
    decision = gate_decision(JUDGED, champion, BETTER, GATE)
    assert decision.accepted is accepted
    assert any(said in reason for reason in decision.reasons), decision.reasons


def test_the_best_baseline_decides_whatever_the_champion_was() -> None:
    strong = Difference(NEW, "item_knn_cosine/hl_30d", -0.03, -0.04, -0.02, 800)
    for champion in (LIKE_THE_CHAMPION, None):
        decision = gate_decision(JUDGED, champion, [*BETTER, strong], GATE)
        assert not decision.accepted
        assert len(decision.reasons) == 1
        assert "new_items: against item_knn_cosine/hl_30d ndcg@10 differs by -0.0300" in decision.reasons[0]


def test_a_task_without_a_baseline_is_refused() -> None:
    decision = gate_decision(JUDGED, None, BETTER[:1], GATE)
    assert decision.reasons == ("new_items: there is no comparison with a plain baseline",)


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_figure_of_the_challenger_that_is_none_is_refused(value: float | None) -> None:
    decision = gate_decision([replace(JUDGED[0], value=value), JUDGED[1]], None, BETTER, GATE)
    assert not decision.accepted
    assert f"next_baskets: ndcg@10 is {value}" in decision.reasons[0]


def test_a_task_with_few_shoppers_decides_nothing_and_none_at_all_refuses() -> None:
    few = [Judged(BASKETS, 0.36, 900), Judged(NEW, math.nan, 49)]
    decision = gate_decision(few, None, BETTER[:1], GATE)
    assert decision.accepted
    assert "new_items: not counted, 49 shoppers judged and 50 needed" in decision.reasons
    refused = gate_decision(few[1:], [], BETTER, GATE)
    assert not refused.accepted
    assert refused.reasons == ("no task has enough shoppers to judge by",)


def test_while_nothing_serves_a_small_shop_gets_its_first_model() -> None:
    few = [Judged(BASKETS, 0.36, 10)]
    assert gate_decision(few, None, [], GATE).accepted
    wide = [Difference(BASKETS, "frequency", 0.02, -0.05, 0.09, 60)]
    judged = [Judged(BASKETS, 0.36, 60)]
    assert gate_decision(judged, None, wide, GATE).accepted
    assert not gate_decision(judged, wide, wide, GATE).accepted
    worse = [Difference(BASKETS, "frequency", -0.05, -0.09, 0.01, 60)]
    assert not gate_decision(judged, None, worse, GATE).accepted
    assert not gate_decision([], [], BETTER, GATE).accepted


def test_every_reason_of_a_refusal_is_reported_at_once() -> None:
    worse = differences("champion", -0.1, -0.12, -0.08)
    decision = gate_decision(JUDGED, worse, differences("frequency/all", -0.1, -0.12, -0.08), GATE)
    assert len(decision.reasons) == 4


def test_metrics_hold_every_known_figure_by_name() -> None:
    metrics = gate_decision(JUDGED, LIKE_THE_CHAMPION, differences("b/all", 0.1, None, None), GATE).metrics
    assert metrics["next_baskets.value"] == 0.36
    assert metrics["next_baskets.users"] == 900.0
    assert metrics["new_items.champion.low"] == -0.005
    assert metrics["new_items.b/all.difference"] == 0.1
    assert "new_items.b/all.low" not in metrics


EVALUATION = EvaluationParameters(
    ks=(5, 10),
    bootstrap_samples=200,
    seed=1,
    target_order=("purchase",),
    min_target_users=1,
    max_users=1,
    compared_shoppers=1,
    baseline_half_lives_days=(0.0,),
    baseline_windows_days=(),
    fill_window_days=1,
    item_neighbours=1,
    item_shrinkage=0.0,
    item_asymmetry=1.0,
    user_neighbours=1,
    user_shrinkage=0.0,
)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ks": ()},
        {"ks": (0,)},
        {"ks": (5, 5)},
        {"bootstrap_samples": 99},
        {"target_order": ()},
        {"target_order": ("buy",)},
        {"min_target_users": 0},
        {"max_users": 0},
        {"baseline_half_lives_days": ()},
        {"baseline_half_lives_days": (-1.0,)},
        {"baseline_windows_days": (0,)},
        {"fill_window_days": 0},
        {"item_neighbours": 0},
        {"user_neighbours": 0},
        {"item_shrinkage": math.nan},
        {"user_shrinkage": -1.0},
        {"item_asymmetry": 2.1},
    ],
)
def test_impossible_evaluation_parameters_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(EVALUATION, **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"metric": "auc"},
        {"k": 0},
        {"min_users": 0},
        {"champion_tolerance": -0.1},
        {"baseline_tolerance": math.nan},
    ],
)
def test_impossible_gate_parameters_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(GATE, **wrong)
