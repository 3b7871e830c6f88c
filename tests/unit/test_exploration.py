"""Places that are left to chance: what is drawn, how often, and the probabilities that are stored with a list."""

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from freshet.contracts.policies import NEXT_BASKETS
from freshet.ranking.artifact import Artifact
from freshet.ranking.histories.history_block import HistoryBlock, read_block
from freshet.ranking.item_evidence import DAYS, SHOPPERS, exploration_weights
from freshet.ranking.lists.exploration import explored
from freshet.ranking.lists.list_ids import list_keys, recommendation_ids
from freshet.ranking.ordering.ranked_lists import Ranked
from freshet.rules.list_rules import ListRules
from tests.artifacts import CLOCK, Entry, artifact, batch, both, bought, histories, items_listed, listed
from tests.rules_data import item, of_model, rules

NAMES = [f"i{n:02d}" for n in range(12)]


def shop(shoppers: list[float] | None = None, days: list[float] | None = None) -> Artifact:
    """Twelve items, i00 the most popular; the last six have had few shoppers."""
    model = artifact(NAMES, terms={"item_popular": list(range(12, 0, -1))}, weights=both(item_popular=1.0))
    evidence = {SHOPPERS: shoppers or [50.0] * 6 + [0, 1, 2, 3, 4, 5], DAYS: days or [90.0] * 6 + [1, 5, 9, 30, 60, 90]}
    return dataclasses.replace(model, evidence={name: np.array(each, np.float32) for name, each in evidence.items()})


def of_shop(*definitions: dict[str, Any], model: Artifact, **of_items: Any) -> ListRules:
    items = [item(name, **of_items.get(name, {})) for name in NAMES]
    return of_model(rules(*definitions), items, model).of_audience(0)


def block_of(model: Artifact, *each: list[Entry]) -> HistoryBlock:
    return read_block(histories(*each), items=model.items, event_names=model.recipe.event_names, clock=CLOCK)


def lists_of(columns: list[list[int]]) -> Ranked:
    """Lists with falling scores; -1 for no item."""
    chosen = np.array(columns)
    scores = np.where(chosen >= 0, np.arange(chosen.shape[1], 0, -1), -np.inf).astype(np.float32)
    return Ranked(np.maximum(chosen, 0), scores, scores, np.zeros(chosen.shape, dtype=np.bool_))


def repeated(lists: Ranked, times: int) -> Ranked:
    return Ranked(*(np.repeat(each, times, axis=0) for each in lists))


def keys_of(count: int, seed: int = 5) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


# ----------------------------------------------------------------------------- which items


def test_items_are_drawn_as_often_as_they_are_best_in_draws_of_their_rates() -> None:
    shoppers = np.array([0, 0, 0, 1, 3, 8, 15, 19, 400], np.float32)
    days = np.array([2, 2, 2, 5, 40, 90, 90, 90, 90], np.float32)
    found = exploration_weights(shoppers, days)
    mean = shoppers.sum() / days.sum()
    rng = np.random.default_rng(1)
    unsure = shoppers < 20
    draws = rng.gamma(0.5 + shoppers[unsure], 1 / (0.5 / mean + days[unsure]), (200_000, unsure.sum()))
    best = np.bincount(draws.argmax(axis=1), minlength=unsure.sum()) / len(draws)
    assert found[~unsure].tolist() == [0.0]
    np.testing.assert_allclose(found[unsure], 0.9 * best + 0.1 / 8, atol=0.004)
    assert found.sum() == pytest.approx(1.0)


def test_a_new_item_is_likelier_than_one_that_nobody_has_wanted_for_long() -> None:
    found = exploration_weights(np.array([0, 0, 0, 100], np.float32), np.array([1, 1, 90, 90], np.float32))
    assert found[0] == found[1] > 3 * found[2] > 0


def test_thousands_of_items_take_no_time_of_their_own() -> None:
    rng = np.random.default_rng(2)
    shoppers, days = rng.integers(0, 20, 200_000), rng.integers(1, 91, 200_000)
    found = exploration_weights(shoppers.astype(np.float32), days.astype(np.float32))
    assert found.sum() == pytest.approx(1.0)
    assert found.min() >= 0.1 / 200_000 * 0.999


@pytest.mark.parametrize("shoppers", [[20, 99], []])
def test_without_little_known_items_nothing_is_drawn(shoppers: list[float]) -> None:
    found = exploration_weights(np.array(shoppers, np.float32), np.full(len(shoppers), 90, np.float32))
    assert found.tolist() == [0.0] * len(shoppers)


# ----------------------------------------------------------------------------- which places


def slow_propensities(
    columns: list[int], own: set[int], weights: NDArray[np.float64], share: float, places: list[int]
) -> dict[tuple[int, int], float]:
    """The probability of (place from 0, item), in words of the docstring."""
    listed = [one for one in columns if one >= 0]
    pool = {n: weight for n, weight in enumerate(weights) if weight > 0 and n not in own and n not in listed}
    free = [place for place in places if columns[place] >= 0]
    chance = min(1.0, share * len(listed)) if pool and free else 0.0
    found = {(place, one): 1.0 for place, one in enumerate(columns) if one >= 0}
    for place in free:
        found[place, columns[place]] = 1.0 - chance / len(free)
        for one, weight in pool.items():
            found[place, one] = chance / len(free) * weight / sum(pool.values())
    return found


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_propensities_are_those_of_the_slow_twin(data: st.DataObject) -> None:
    weights = np.array(data.draw(st.lists(st.sampled_from([0.0, 0.1, 1.0, 3.0]), min_size=12, max_size=12)))
    columns = data.draw(st.permutations(range(12)))[: data.draw(st.integers(0, 8))]
    columns += [-1] * (8 - len(columns))
    own = data.draw(st.sets(st.integers(0, 11), max_size=6))
    one_in, first = data.draw(st.sampled_from([1, 3, 8, 20])), data.draw(st.integers(1, 9))
    model = shop()
    mine = of_shop({"action": "explore", "one_in": one_in, "first_position": first}, model=model)
    block = block_of(model, *[[bought(NAMES[n]) for n in own]] * 40)
    made = explored(repeated(lists_of([columns]), 40), block, weights / max(1, weights.sum()), mine, keys_of(40))
    expected = slow_propensities(columns, own, weights, 1 / one_in, [place for place in range(8) if place >= first - 1])
    for row in range(40):
        changed = np.flatnonzero(made.is_explored[row])
        assert len(changed) <= 1
        for place, one in enumerate(columns):
            shown = int(made.lists.columns[row, place])
            if one >= 0:
                assert made.propensities[row, place] == pytest.approx(expected[place, shown])
                assert (shown == one) != (place in changed)


def test_draws_are_as_frequent_as_their_propensities_say() -> None:
    model, count = shop(), 200_000
    mine = of_shop({"action": "explore", "one_in": 10, "first_position": 2}, model=model)
    lists, weights = lists_of([[0, 1, 7, 2]]), model.exploration_weights
    one = block_of(model, [bought("i11")])
    block = dataclasses.replace(
        one, shoppers=count, row=np.arange(count), item=np.repeat(one.item, count), event=np.repeat(one.event, count),
        age_days=np.repeat(one.age_days, count), unknown=np.zeros(count, dtype=np.int64),
    )  # fmt: skip
    made = explored(repeated(lists, count), block, weights, mine, keys_of(count))
    expected = slow_propensities([0, 1, 7, 2], {11}, weights, 0.1, [1, 2, 3])
    found = Counter((place, int(shown)) for place in range(4) for shown in made.lists.columns[:, place])
    assert set(found) == {key for key, value in expected.items() if value > 0}
    for key, value in expected.items():
        deviation = np.sqrt(max(value * (1 - value), 1e-12) / count)
        assert abs(found[key] / count - value) <= 5 * deviation, key


def test_other_rules_are_kept() -> None:
    model = shop()
    written = (
        {"action": "explore", "one_in": 1, "first_position": 1},
        {"action": "pin", "items": {"item_id": "i05"}, "position": 2},
        {"action": "share", "items": {"brand": "own"}, "at_least": 0.25},
        {"action": "cap", "items": {"brand": "capped"}, "most": 1},
        {"action": "exclude", "items": {"item_id": "i09"}},
    )
    of_items = {"i03": {"brand": "own"}, "i07": {"brand": "capped"}, "i08": {"available": False}}
    mine = of_shop(*written, model=model, **of_items)
    lists = lists_of([[0, 5, 1, 3]])
    made = explored(repeated(lists, 500), block_of(model, *[[]] * 500), model.exploration_weights, mine, keys_of(500))
    assert {int(one) for one in made.lists.columns[made.is_explored]} == {6, 10, 11}
    assert made.is_explored.any(axis=0).tolist() == [True, False, True, False]
    assert made.is_explored.sum() == 500
    assert made.lists.scores.tolist() == repeated(lists, 500).scores.tolist()


def test_only_matching_items_are_drawn() -> None:
    model = shop()
    mine = of_shop(
        {"action": "explore", "one_in": 1, "first_position": 6, "items": {"item_id": ["i00", "i08", "i10"]}},
        model=model,
    )
    lists = lists_of([[1, 2, 3, 4, 5, 6]] * 300)
    made = explored(lists, block_of(model, *[[]] * 300), model.exploration_weights, mine, keys_of(300))
    # i00 is well known.
    assert {int(one) for one in made.lists.columns[made.is_explored]} == {8, 10}


def test_artifacts_without_evidence_explore_nothing() -> None:
    model = dataclasses.replace(shop(), evidence={})
    mine = of_model(rules({"action": "explore", "one_in": 1}), [item(name) for name in NAMES], model)
    found = listed(batch({"u": [bought("i00")]}), model, clock=CLOCK, length=8, policy=NEXT_BASKETS, rules=mine)
    assert found.column("propensities").to_pylist() == [[1.0] * 8]


# ----------------------------------------------------------------------------- lists


def test_a_list_says_what_was_drawn_and_with_which_probability() -> None:
    model = shop()
    mine = of_model(rules({"action": "explore", "one_in": 4, "first_position": 3}), [item(n) for n in NAMES], model)
    shoppers = {f"u{n}": [bought("i11")] for n in range(50)}
    plain = listed(batch(dict(shoppers)), model, clock=CLOCK, length=4, policy=NEXT_BASKETS).to_pylist()
    found = listed(batch(dict(shoppers)), model, clock=CLOCK, length=4, policy=NEXT_BASKETS, rules=mine).to_pylist()
    assert {row["propensities"] is None for row in plain} == {True}
    for before, after in zip(plain, found, strict=True):
        pairs = zip(before["items"], after["items"], after["propensities"], strict=True)
        drawn = [one["position"] for was, one, _ in pairs if was["item_id"] != one["item_id"]]
        assert drawn == [one["position"] for one in after["items"] if one["reason"] == "explored"]
        assert len(drawn) == 1
        assert drawn[0] in (3, 4)
        assert [one["score"] for one in after["items"]] == [one["score"] for one in before["items"]]
        # One of the two places always.
        assert after["propensities"][:2] == [1.0, 1.0]
        assert after["propensities"][6 - drawn[0]] == pytest.approx(0.5)
        assert 0 < after["propensities"][drawn[0] - 1] < 0.5


def test_a_list_depends_on_nothing_but_shopper_history_clock_and_policy() -> None:
    model = shop()
    block = block_of(model, [bought("i01")], [bought("i01")], [bought("i02")], [], [bought("nowhere")])
    users = pa.array(["a", "b", "a", "a", "a"])
    keys = list_keys(users, block, clock=CLOCK, policy="next_baskets")
    assert len(set(keys.tolist())) == 5
    again = list_keys(users.slice(1, 2), block.part(1, 3), clock=CLOCK, policy="next_baskets")
    assert again.tolist() == keys[1:3].tolist()
    later = list_keys(users, block, clock=CLOCK.replace(hour=1), policy="next_baskets")
    assert not set(keys.tolist()) & set(later.tolist())
    assert not set(keys.tolist()) & set(list_keys(users, block, clock=CLOCK, policy="new_items").tolist())


def test_ids_name_the_version_of_the_model() -> None:
    found = listed(batch({"u": [bought("i00")]}), shop(), clock=CLOCK, length=2, policy=NEXT_BASKETS)
    (made,) = recommendation_ids("3.0", found.column("list_key").combine_chunks()).to_pylist()
    version, _, key = made.partition("-")
    assert (version, len(key), int(key, 16) >= 0) == ("3.0", 16, True)


def test_shoppers_of_whom_nothing_is_known_get_drawn_items_too() -> None:
    model = shop()
    mine = of_model(rules({"action": "explore", "one_in": 1}), [item(name) for name in NAMES], model)
    found = items_listed(model, {"u": []}, length=8, rules=mine)["u"]
    assert [one["reason"] for one in found] == ["popular_now"] * 7 + ["explored"]
