"""Lists under rules: each is that of the slow twin, and designed cases give what a merchandiser expects."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.contracts.policies import NEW_ITEMS, NEXT_BASKETS, POLICIES
from freshet.ranking.artifact import Artifact
from freshet.ranking.best_items import _PANEL, cut
from freshet.ranking.lists.shopper_lists import recommended_in_process
from freshet.ranking.ranker.ranker import Ranker
from freshet.ranking.ranker.trees import Tree
from freshet.rules.compiled import CompiledRules
from freshet.rules.list_rules import RulesOfModel
from tests.artifacts import (
    CLOCK,
    artifact,
    batch,
    both,
    bought,
    items_listed,
    listed,
    packed,
    random_artifact,
    random_history,
)
from tests.oracles_recommendation import scores_of
from tests.oracles_rules import Item, ruled_list
from tests.rules_data import MOMENT, compiled, item, of_model, random_items, rules

MODEL = random_artifact(np.random.default_rng(3), items=40, rank=4)
NAMES = MODEL.items.to_pylist()
NEAR = MODEL.item_weights["neighbours"].toarray()

conditions = st.one_of(
    st.builds(lambda ids: {"item_id": ids}, st.lists(st.sampled_from(NAMES), min_size=1, max_size=6)),
    st.sampled_from([
        {"category": "a > b"}, {"category": ["a"]}, {"brand": "x"}, {"brand": ["x", "y"]}, {"price": {"below": 6.0}},
        {"price": {"at_least": 3.5, "below": 15}}, {"brand": {"missing": True}},
        {"attributes": {"launch": {"at_least": "now"}}}, {"attributes": {"margin": {"at_least": 5}}},
        {"attributes": {"margin": "3"}, "category": "a"},
    ]),
)  # fmt: skip
actions = st.one_of(
    st.fixed_dictionaries({"action": st.sampled_from(["exclude", "include"]), "items": conditions}),
    st.fixed_dictionaries(
        {"action": st.sampled_from(["boost", "bury"]), "items": conditions,
         "strength": st.sampled_from([0.11, 0.7, 3.0])}
    ),
    st.fixed_dictionaries(
        {"action": st.just("weigh"), "attribute": st.sampled_from(["margin", "price"]),
         "strength": st.sampled_from([-0.9, 0.43, 2.0])}
    ),
    st.fixed_dictionaries({"action": st.just("pin"), "items": conditions, "position": st.integers(1, 9)}),
    st.fixed_dictionaries(
        {"action": st.just("share"), "items": conditions, "at_least": st.sampled_from([0.1, 0.2, 0.5, 1.0])}
    ),
    st.fixed_dictionaries({"action": st.just("cap"), "items": conditions, "most": st.integers(0, 3)}),
    st.fixed_dictionaries(
        {"action": st.just("cap"), "by": st.sampled_from(["brand", "category", "margin"]), "most": st.integers(0, 3)}
    ),
    st.fixed_dictionaries(
        {"action": st.just("price_band"), "low": st.sampled_from([0.0, 0.5]), "high": st.sampled_from([1.2, 3.0])}
    ),
    st.fixed_dictionaries({"action": st.just("diversify"), "strength": st.sampled_from([0.17, 0.9])},
                          optional={"by": st.sampled_from(["brand", "category", "margin"])}),
)  # fmt: skip
audience = st.sampled_from([{}, {}, {"shoppers": {"segment": "gold"}}, {"shoppers": {"country": ["DE", "FR"]}},
                            {"shoppers": {"segment": {"values": "gold", "or_unknown": True}}}])  # fmt: skip
definitions = st.lists(st.builds(lambda one, who: {**one, **who}, actions, audience), max_size=6)
PEOPLE = {"u0": {"segment": "gold"}, "u1": {"segment": "gold", "country": "DE"}, "u2": {"country": "FR"},
          "u3": {"country": "US", "segment": "silver"}}  # fmt: skip


def similar(one: int, other: int) -> float:
    return float(min(1.0, max(NEAR[one, other], NEAR[other, one])))


@settings(max_examples=150, deadline=None)
@given(written=definitions, seed=st.integers(0, 10**6), policy=st.sampled_from(POLICIES), length=st.integers(1, 9))
def test_lists_are_those_of_the_slow_twin(written: list[dict[str, Any]], seed: int, policy: str, length: int) -> None:
    rng = np.random.default_rng(seed)
    items, made = random_items(rng, 40), rules(*written)
    shoppers = {f"u{n}": random_history(rng, NAMES, 12) for n in range(6)}
    mine = of_model(made, items, MODEL, shoppers=PEOPLE)
    found = items_listed(MODEL, dict(shoppers), policy, length, rules=mine)
    assert list(found) == list(shoppers)
    for name, history in shoppers.items():
        expected = ruled_list(
            scores_of(history, MODEL, policy, CLOCK), items, made, shopper=PEOPLE.get(name, {}),
            taken={entry[1] for entry in history if entry[2] == "purchase"}, moment=MOMENT, length=length,
            candidates=10, similar=similar,
        )  # fmt: skip
        assert [(one["item_id"], one["reason"] == "promoted") for one in found[name]] == expected
        assert [one["position"] for one in found[name]] == list(range(1, len(expected) + 1))


def plain_shop(**scores: float) -> Artifact:
    """A model that scores these items alike for everybody."""
    names = sorted(scores)
    values = [scores[name] for name in names]
    return artifact(names, terms={"item_popular": values, "item_popular_30d": values}, weights=both(item_popular=1.0))


SHOP = plain_shop(a=9.0, b=8.0, c=7.0, d=6.0, e=5.0, f=4.0)
ITEMS = [item("a", brand="x"), item("b", brand="x"), item("c", brand="y"), item("d", brand="y"), item("e"), item("f")]


def list_of(*definitions: dict[str, Any], length: int = 4, model: Artifact = SHOP, items: list[Item] = ITEMS) -> str:
    mine = of_model(rules(*definitions), items, model)
    return "".join(one["item_id"] for one in items_listed(model, {"u": []}, NEXT_BASKETS, length, rules=mine)["u"])


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ({"action": "exclude", "items": {"brand": "x"}}, "cdef"),
        ({"action": "include", "items": {"brand": "y"}}, "cd"),
        ({"action": "boost", "items": {"item_id": "d"}, "strength": 1.0}, "adbc"),
        ({"action": "boost", "items": {"item_id": "d"}, "strength": 1.1}, "dabc"),
        ({"action": "bury", "items": {"item_id": "a"}, "strength": 0.5}, "bacd"),
        ({"action": "pin", "items": {"item_id": "f"}, "position": 2}, "afbc"),
        ({"action": "pin", "items": {"brand": "y"}, "position": 1}, "cabd"),
        ({"action": "share", "items": {"brand": "y"}, "at_least": 0.5}, "acbd"),
        ({"action": "cap", "by": "brand", "most": 1}, "acef"),
        ({"action": "cap", "items": {"brand": "x"}, "most": 0}, "cdef"),
        ({"action": "diversify", "by": "brand", "strength": 0.5}, "acbe"),
        ({"action": "diversify", "by": "brand", "strength": 9.0}, "acef"),
        ({"action": "diversify", "strength": 1.0}, "abcd"),
        ({"action": "exclude", "items": {"item_id": "a"}, "enabled": False}, "abcd"),
        ({"action": "exclude", "items": {"item_id": "a"}, "starts": "2026-11-15T12:00:01"}, "abcd"),
        ({"action": "exclude", "items": {"item_id": "a"}, "ends": "2026-11-15T12:00:00"}, "abcd"),
        ({"action": "exclude", "items": {"item_id": "a"}, "starts": "2026-11-15T13:00:00+01:00"}, "bcde"),
    ],
)
def test_each_action_does_what_it_says(definition: dict[str, Any], expected: str) -> None:
    assert list_of(definition) == expected


def test_a_pinned_item_is_never_one_that_the_policy_or_a_rule_forbids() -> None:
    pin = {"action": "pin", "items": {"item_id": "f"}, "position": 1}
    assert list_of(pin, {"action": "exclude", "items": {"item_id": "f"}}) == "abcd"
    unavailable = [*ITEMS[:-1], item("f", available=False)]
    assert list_of(pin, items=unavailable) == "abcd"
    mine = of_model(rules(pin), ITEMS, SHOP)
    assert [one["item_id"] for one in items_listed(SHOP, {"u": [bought("f")]}, NEW_ITEMS, 3, rules=mine)["u"]] == [
        "a", "b", "c",
    ]  # fmt: skip


def test_a_share_reaches_items_far_below_the_candidates() -> None:
    scores = {f"i{n:03d}": 200.0 - n for n in range(200)}
    model, items = plain_shop(**scores), [item(name, brand="own" if name > "i197" else "x") for name in scores]
    mine = of_model(rules({"action": "share", "items": {"brand": "own"}, "at_least": 0.2}), items, model, candidates=20)
    found = items_listed(model, {"u": []}, NEXT_BASKETS, 10, rules=mine)["u"]
    assert [one["item_id"] for one in found if one["reason"] == "promoted"] == ["i198", "i199"]
    assert [one["position"] for one in found if one["reason"] == "promoted"] == [5, 10]


def test_pinned_items_move_up_where_a_list_ends_early() -> None:
    include = {"action": "include", "items": {"item_id": ["a", "f"]}}
    assert list_of(include, {"action": "pin", "items": {"item_id": "a"}, "position": 4}) == "fa"


def test_a_price_band_follows_what_the_shopper_has_bought() -> None:
    items = [item(name, price=price) for name, price in zip("abcdef", (50.0, 11.0, 9.0, 2.0, 10.0, None), strict=True)]
    mine = of_model(rules({"action": "price_band", "low": 0.5, "high": 2.0}), items, SHOP)
    found = items_listed(SHOP, {"u": [bought("e", 1), bought("d", 2), bought("b", 3)], "new": []}, length=6, rules=mine)
    # The median of 10, 2 and 11 is 10: 50 and 2 are outside, an unknown price is not.
    assert [one["item_id"] for one in found["u"]] == ["b", "c", "e", "f", "a", "d"]
    assert [one["item_id"] for one in found["new"]] == list("abcdef")


def test_a_ranker_corrects_what_rules_then_arrange() -> None:
    # The tree adds 10 to scores up to 5, so that e and f lead; the rules see these scores.
    tree = Tree((0,), (5.0,), (-1,), (-2,), (10.0, 0.0))
    ranker = Ranker(10, ("score",), (tree,))
    model = dataclasses.replace(SHOP, recipe=dataclasses.replace(SHOP.recipe, rankers={NEXT_BASKETS: ranker}))
    history = {"u": [bought("a")]}

    def listed_items(*definitions: dict[str, Any]) -> str:
        mine = of_model(rules(*definitions), ITEMS, model)
        return "".join(one["item_id"] for one in items_listed(model, dict(history), length=4, rules=mine)["u"])

    assert listed_items() == "efab"
    assert listed_items({"action": "exclude", "items": {"item_id": "e"}}) == "fabc"
    # The list without rules reaches from 15 down to 8: 7 a unit, and a has 9.
    assert listed_items({"action": "boost", "items": {"item_id": "a"}, "strength": 0.71}) == "efab"
    assert listed_items({"action": "boost", "items": {"item_id": "a"}, "strength": 0.72}) == "eafb"
    assert listed_items({"action": "pin", "items": {"item_id": "d"}, "position": 1}) == "defa"


def test_batch_and_stream_make_the_same_lists_from_saved_rules(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    items = random_items(rng, 40)
    written = rules(
        {"action": "exclude", "items": {"brand": "x"}, "shoppers": {"segment": "gold"}},
        {"action": "boost", "items": {"category": "a"}, "strength": 0.6},
        {"action": "share", "items": {"brand": "z"}, "at_least": 0.3},
        {"action": "cap", "by": "category", "most": 2},
        {"action": "weigh", "attribute": "margin", "strength": 0.4},
        {"action": "pin", "items": {"item_id": "i0007"}, "position": 2, "shoppers": {"country": "DE"}},
        {"action": "price_band", "low": 0.2, "high": 4.0},
        {"action": "explore", "one_in": 2, "first_position": 3},
    )
    saved = compiled(written, items, PEOPLE).save(tmp_path / "rules")
    MODEL.save(tmp_path / "model")
    shoppers = {f"u{n}": random_history(rng, NAMES, 12) for n in range(6)}
    of_batch = batch(dict(shoppers))
    mine = RulesOfModel(CompiledRules.load(saved), MODEL.items)
    expected = listed(of_batch, MODEL, clock=CLOCK, length=6, policy=NEXT_BASKETS, rules=mine)
    people = pa.table({"user_id": of_batch.column("user_id")})
    found = recommended_in_process(
        people, packed(of_batch.column("history")), artifact=tmp_path / "model", clock=CLOCK, length=6,
        policy=NEXT_BASKETS, threads=2, rules=saved,
    )  # fmt: skip
    assert found.select(expected.schema.names).to_pylist() == expected.to_pylist()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_large_catalogue_that_is_searched_gives_the_same_lists(policy: str) -> None:
    rng = np.random.default_rng(9)
    count = 5 * _PANEL[1]
    names = [f"i{n:04d}" for n in range(count)]
    model = artifact(
        names, factors=rng.standard_normal((count, 8)), als=MODEL.recipe.als, terms={"item_popular": rng.random(count)},
        own_half_lives={"own_frequency_30d": 30.0},
        weights=both(factors=1.0, own_frequency_30d=0.7, item_popular=0.3),
    )  # fmt: skip
    assert cut(model, policy, 30).is_search
    items = random_items(rng, count)
    written = rules(
        {"action": "exclude", "items": {"brand": "x"}},
        {"action": "share", "items": {"item_id": names[7::500]}, "at_least": 0.4},
        {"action": "bury", "items": {"category": "a > b"}, "strength": 0.3},
        {"action": "cap", "by": "brand", "most": 4},
    )
    shoppers = {f"u{n}": random_history(rng, names, 12) for n in range(5)}
    mine = of_model(written, items, model, candidates=30)
    found = items_listed(model, dict(shoppers), policy, 8, rules=mine)
    for name, history in shoppers.items():
        expected = ruled_list(
            scores_of(history, model, policy, CLOCK), items, written, shopper={}, taken=set(), moment=MOMENT, length=8,
            candidates=30,
        )  # fmt: skip
        assert [(one["item_id"], one["reason"] == "promoted") for one in found[name]] == expected


def test_without_rules_only_unavailable_items_are_left_out() -> None:
    mine = of_model(
        rules({"action": "exclude", "items": {"item_id": "a"}}), [*ITEMS[1:], item("a", available=False)], SHOP
    )
    unruled = RulesOfModel(mine.rules.without_rules(), SHOP.items)
    assert [one["item_id"] for one in items_listed(SHOP, {"u": []}, rules=unruled)["u"]] == ["b", "c", "d"]
    everything = RulesOfModel(mine.rules.without_rules().without_availability(), SHOP.items)
    assert [one["item_id"] for one in items_listed(SHOP, {"u": []}, rules=everything)["u"]] == ["a", "b", "c"]


def test_when_nothing_may_be_listed_lists_are_empty() -> None:
    mine = of_model(rules({"action": "include", "items": {"brand": "nobody"}}), ITEMS, SHOP)
    assert items_listed(SHOP, {"u": [], "v": [bought("a")]}, rules=mine) == {"u": [], "v": []}
