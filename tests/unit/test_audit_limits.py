"""Limits on popularity and exposure: what they refuse, what they cannot judge, and how they say it."""

from dataclasses import replace
from typing import Any

import pytest

from freshet.core.parameters import ParameterError
from freshet.evaluation.audits.limits import (
    LimitResult,
    exposure_limits,
    group_limit,
    popularity_limit,
    within_limits,
)
from freshet.evaluation.audits.parameters import AuditParameters, limited_items
from freshet.evaluation.gate import GateDecision

pytestmark = pytest.mark.unit

FREE = AuditParameters(
    attributes=(), item_attributes=(), groups=2, most_values=1, min_users=100, max_group_loss=1.0,
    max_popularity_lift=-1.0, min_exposure_share={}, max_exposure_share={}, min_exposure_ratio={},
    max_exposure_ratio={},
)  # fmt: skip
OWN = "brand=Own"


def row(
    metric: str, value: float | None, *, model: str = "challenger", users: int = 500, **other: Any
) -> dict[str, Any]:
    return {"task": "new_items", "model": model, "metric": metric, "k": 10, "value": value, "users": users, **other}


def lift(value: float, **other: Any) -> dict[str, Any]:
    return row("popularity_lift", value, **other)


@pytest.mark.parametrize(("allowed", "refused"), [(0.5, True), (0.8, False), (0.7999, True), (0.0, True), (2.0, False)])
def test_lists_that_are_more_popular_than_allowed_are_refused(allowed: float, refused: bool) -> None:
    params = replace(FREE, max_popularity_lift=allowed)
    result = popularity_limit([lift(0.8), lift(3.0, model="champion")], params, k=10, challenger="challenger")
    assert result is not None
    assert bool(result.refusals) is refused
    assert result.metrics == {"new_items.popularity_lift": 0.8}
    assert result.notes == ()


def test_a_refusal_says_what_was_found_and_what_is_allowed() -> None:
    params = replace(FREE, max_popularity_lift=0.5)
    result = popularity_limit([lift(0.8), lift(0.25, model="champion")], params, k=10, challenger="challenger")
    assert result == LimitResult(
        "listed items are at most 50 % more popular than what their shoppers took before (popularity_lift@10 at most "
        "+0.5)",
        (
            "new_items: the first 10 items of lists are 80 % more popular than what their 500 shoppers took before, "
            "and at most 50 % more is allowed (popularity_lift@10 +0.8000, allowed +0.5000, champion +0.2500)",
        ),
        (),
        {"new_items.popularity_lift": 0.8},
    )


def test_lists_can_be_asked_to_be_less_popular_than_taste() -> None:
    result = popularity_limit([lift(-0.1)], replace(FREE, max_popularity_lift=-0.2), k=10, challenger="challenger")
    assert result is not None
    assert result.limit.startswith("listed items are at least 20 % less popular than what their shoppers took before")
    assert (
        "10 % less popular than what their 500 shoppers took before, and at least 20 % less is demanded"
        in (result.refusals[0])
    )


def test_without_a_limit_nothing_is_judged() -> None:
    assert popularity_limit([lift(99.0)], FREE, k=10, challenger="challenger") is None
    assert exposure_limits({}, FREE, k=10, challenger="challenger") == []


def test_few_lists_refuse_nothing_and_that_is_said() -> None:
    params = replace(FREE, max_popularity_lift=0.5, min_exposure_share={OWN: 0.5})
    result = popularity_limit([lift(9.0, users=99)], params, k=10, challenger="challenger")
    assert result is not None
    assert (result.refusals, result.notes) == ((), ("new_items: not judged, 99 lists and 100 needed",))
    none = popularity_limit([], params, k=10, challenger="challenger")
    assert none is not None
    assert none.notes == ("no shopper has a list and a history to compare it with",)
    (of_brand,) = exposure_limits({OWN: []}, params, k=10, challenger="challenger")
    assert (of_brand.refusals, of_brand.notes) == ((), ("there are no items with brand Own, or no lists",))


SHOWN = {OWN: [row("exposure_share", 0.04), row("exposure_ratio", 0.4),
               row("exposure_share", 0.09, model="champion")]}  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "refused"),
    [
        ({"min_exposure_share": {OWN: 0.04}}, False),
        ({"min_exposure_share": {OWN: 0.0401}}, True),
        ({"max_exposure_share": {OWN: 0.04}}, False),
        ({"max_exposure_share": {OWN: 0.0399}}, True),
        ({"min_exposure_ratio": {OWN: 0.4}}, False),
        ({"min_exposure_ratio": {OWN: 0.8}}, True),
        ({"max_exposure_ratio": {OWN: 0.4}}, False),
        ({"max_exposure_ratio": {OWN: 0.3}}, True),
    ],
)
def test_too_few_and_too_many_places_are_refused(limits: dict[str, Any], refused: bool) -> None:
    (result,) = exposure_limits(SHOWN, replace(FREE, **limits), k=10, challenger="challenger")
    assert bool(result.refusals) is refused


def test_the_words_of_limits_on_exposure() -> None:
    params = replace(FREE, min_exposure_share={OWN: 0.1}, max_exposure_ratio={OWN: 0.25})
    share, ratio = exposure_limits(SHOWN, params, k=10, challenger="challenger")
    assert share.limit == "items with brand Own have at least 10 % of the places (exposure_share@10 at least 0.1)"
    assert share.refusals == (
        "new_items: of the first 10 places of 500 lists, items with brand Own have 4 % of the places, below the "
        "allowed 10 % (exposure_share@10 0.0400, allowed 0.1000, champion 0.0900)",
    )
    assert share.metrics == {"new_items.exposure_share.brand=Own": 0.04}
    assert ratio.refusals == (
        "new_items: of the first 10 places of 500 lists, items with brand Own have 0.4 times their share of purchases, "
        "above the allowed 0.25 times (exposure_ratio@10 0.4000, allowed 0.2500)",
    )


def test_a_ratio_without_purchases_decides_nothing() -> None:
    params = replace(FREE, min_exposure_ratio={OWN: 0.5})
    rows = [row("exposure_share", 0.0), row("exposure_ratio", None)]
    (result,) = exposure_limits({OWN: rows}, params, k=10, challenger="challenger")
    assert (result.refusals, result.metrics) == ((), {})
    assert result.notes == ("new_items: not judged, as nobody took items with brand Own",)


def test_a_limit_on_groups_needs_a_champion() -> None:
    params = replace(FREE, max_group_loss=0.02)
    lost = {**row("ndcg", -0.05), "audit": "activity", "group": "0 to 3", "low": -0.07, "high": -0.03}
    result = group_limit([lost], params, k=10)
    assert result.limit == "no group of 100 or more shoppers loses more than 0.02 NDCG@10 against the champion"
    assert len(result.refusals) == 1
    assert group_limit([], params, k=10).notes == ("there is no champion to compare with",)


def test_a_refusal_joins_the_reasons_of_the_gate() -> None:
    accepted = GateDecision(True, ("not worse",), {"a": 1.0})
    assert within_limits(accepted, []) == accepted
    kept = LimitResult("few", metrics={"b": 2.0})
    assert within_limits(accepted, [kept]) == GateDecision(True, ("not worse",), {"a": 1.0, "b": 2.0})
    unsure = LimitResult("few", notes=("no lists",))
    assert within_limits(accepted, [unsure]).reasons == ("not worse", "limit not judged: few: no lists")
    broken = LimitResult("few", ("too many",), ("n: no lists",))
    assert within_limits(accepted, [broken, kept]) == GateDecision(False, ("too many",), {"a": 1.0, "b": 2.0})
    refused = replace(accepted, accepted=False, reasons=("worse",))
    assert within_limits(refused, [broken]).reasons == ("worse", "too many")


@pytest.mark.parametrize("name", ["brand", "brand=", "=Own", " = "])
def test_limits_name_items_by_attribute_and_value(name: str) -> None:
    assert limited_items(" brand = A=B ") == ("brand", "A=B")
    with pytest.raises(ParameterError, match="min_exposure_share must name items as attribute=value"):
        replace(FREE, min_exposure_share={name: 0.1})


def test_limits_that_no_list_can_keep_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"min_exposure_ratio of brand=Own is 2 and max_exposure_ratio 1: no list"):
        replace(FREE, min_exposure_ratio={OWN: 2.0}, max_exposure_ratio={OWN: 1.0})
    with pytest.raises(ParameterError, match=r"max_exposure_share\.brand=Own must be at most 1"):
        replace(FREE, max_exposure_share={OWN: 1.5})
