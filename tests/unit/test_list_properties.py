"""Diversity, novelty, popularity and evenness of lists: designed lists, and loops over random ones."""

import itertools
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from freshet.core.errors import InputError
from freshet.evaluation.list_properties import list_properties, takers

BY = ["task", "model"]
LISTS = pa.schema([("task", pa.string()), ("model", pa.string()), ("user_id", pa.string()),
                   ("items", pa.list_(pa.string()))])  # fmt: skip


def taken(who: dict[str, str]) -> pa.Table:
    """Pairs from the shoppers of each item, one letter each."""
    pairs = [{"user_id": user, "item_id": item} for item, users in who.items() for user in users]
    return pa.Table.from_pylist(pairs, schema=pa.schema([("user_id", pa.string()), ("item_id", pa.string())]))


def lists(*rows: tuple[str, list[str] | None], model: str = "m", task: str = "t") -> pa.Table:
    named = [{"task": task, "model": model, "user_id": user, "items": items} for user, items in rows]
    return pa.Table.from_pylist(named, schema=LISTS)


def shoppers(*users: str) -> pa.Table:
    return pa.table({"user_id": users, "user_hash": pa.array(range(1, len(users) + 1), pa.int64())})


def values(made: pa.Table, known: pa.Table, who: pa.Table, ks: tuple[int, ...] = (3,)) -> dict[tuple[Any, ...], float]:
    """The figures by model, metric and k."""
    rows = list_properties(made, who, takers(known), ks=ks, samples=100, by=BY)
    return {(row["model"], row["metric"], row["k"]): row["value"] for row in rows}


def test_the_same_takers_make_items_alike_and_none_in_common_different() -> None:
    known = taken({"a": "xy", "b": "xy", "c": "zw", "d": "x"})
    found = values(lists(("u", ["a", "b"])), known, shoppers("u"))
    assert found["m", "diversity", 3] == pytest.approx(0.0)
    found = values(lists(("u", ["a", "c"])), known, shoppers("u"))
    assert found["m", "diversity", 3] == pytest.approx(1.0)
    # cosines: a b 1, a d and b d 1 / sqrt 2
    found = values(lists(("u", ["a", "b", "d", "c"])), known, shoppers("u"))
    assert found["m", "diversity", 3] == pytest.approx(1 - (1 + 2 / math.sqrt(2)) / 3)


def test_novelty_is_in_bits_and_popularity_a_share() -> None:
    known = taken({"a": "xyz", "b": "x"})
    found = values(lists(("u", ["a", "b"]), ("v", ["new"])), known, shoppers("u", "v"), ks=(1, 2))
    assert found["m", "novelty", 1] == pytest.approx((0.0 + math.log2(4)) / 2)
    assert found["m", "novelty", 2] == pytest.approx((math.log2(4 / 2) / 2 + math.log2(4)) / 2)
    assert found["m", "popularity", 2] == pytest.approx((2 / 3 + 0.0) / 2)


def test_exposure_is_even_where_all_items_are_shown_alike_and_uneven_where_one_is() -> None:
    known = taken({"a": "x", "b": "y", "c": "z", "d": "w"})
    even = values(lists(("u", ["a", "b"]), ("v", ["c", "d"])), known, shoppers("u", "v"))
    assert even["m", "exposure_gini", 3] == pytest.approx(0.0)
    one = values(lists(("u", ["a"]), ("v", ["a"])), known, shoppers("u", "v"))
    assert one["m", "exposure_gini", 3] == pytest.approx(0.75)  # (items - 1) / items


def test_lists_of_one_item_have_no_diversity_and_empty_ones_no_property() -> None:
    known = taken({"a": "xy", "b": "x"})
    rows = list_properties(
        lists(("u", ["a"]), ("v", []), ("w", None)), shoppers("u", "v", "w"), takers(known), ks=[2], samples=100, by=BY
    )
    assert {row["metric"]: row["users"] for row in rows} == {"novelty": 1, "popularity": 1, "exposure_gini": 3}


def test_only_shoppers_that_count_count_and_each_in_its_own_task() -> None:
    known = taken({"a": "xy", "b": "x"})
    made = pa.concat_tables([lists(("u", ["a"]), ("v", ["b"]), task="t"), lists(("u", ["b"]), task="s")])
    who = pa.table({"task": ["t"], "user_id": ["u"], "user_hash": pa.array([1], pa.int64())})
    rows = list_properties(made, who, takers(known), ks=[1], samples=100, by=BY)
    assert {(row["task"], row["metric"]): row["value"] for row in rows} == {
        ("t", "novelty"): pytest.approx(0.0), ("t", "popularity"): 1.0, ("t", "exposure_gini"): 0.5,
    }  # fmt: skip


def test_nobody_and_nothing_give_no_figures() -> None:
    assert list_properties(lists(), shoppers("u"), takers(taken({"a": "x"})), ks=[2], samples=100, by=BY) == []
    found = values(lists(("u", ["a", "b"])), taken({}), shoppers("u"))
    assert found["m", "diversity", 3] == 1.0
    assert found["m", "popularity", 3] == 0.0
    assert found["m", "novelty", 3] == 0.0


def test_items_that_only_later_places_show_do_not_count() -> None:
    known = taken({"a": "x", "b": "y"})
    found = values(lists(("u", ["a", "new"]), ("v", ["b", "newer"])), known, shoppers("u", "v"), ks=(1,))
    assert found["m", "exposure_gini", 1] == pytest.approx(0.0)


@pytest.mark.parametrize("ks", [(), (0,), (5, -1)])
def test_impossible_ks_are_refused(ks: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="k of 1 or more"):
        values(lists(("u", ["a"])), taken({"a": "x"}), shoppers("u"), ks=ks)


@pytest.mark.parametrize("seed", range(4))
def test_random_lists_have_the_properties_that_loops_find(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = [f"i{n}" for n in range(12)]
    letters = [chr(97 + n) for n in range(9)]
    who = {item: "".join(rng.choice(letters, rng.integers(0, 9), replace=False)) for item in items}
    who["i0"] = letters[0] * 2  # a repeated pair counts once
    users = [f"u{n}" for n in range(15)]
    made = {
        model: {user: list(rng.permutation([*items, "new"])[: rng.integers(0, 8)]) for user in users}
        for model in ("m", "n")
    }
    tables = [lists(*((user, list(map(str, own))) for user, own in of.items()), model=m) for m, of in made.items()]
    found = values(pa.concat_tables(tables), taken(who), shoppers(*users), ks=(2, 5))
    everybody = len(set("".join(who.values())))
    taker_sets = {item: set(users) for item, users in who.items()}
    for model, k in itertools.product(made, (2, 5)):
        different, novel, popular, shown = [], [], [], dict.fromkeys([i for i in items if taker_sets[i]], 0)
        every = {str(item) for of in made.values() for own in of.values() for item in own[:5]}
        shown |= dict.fromkeys(every - set(shown), 0)
        for own in made[model].values():
            mine = [str(item) for item in own[:k]]
            sets = [taker_sets.get(item, set()) for item in mine]
            pairs = [
                len(a & b) / math.sqrt(len(a) * len(b)) if a and b else 0.0 for a, b in itertools.combinations(sets, 2)
            ]
            if pairs:
                different.append(1 - sum(pairs) / len(pairs))
            if mine:
                novel.append(np.mean([math.log2((everybody + 1) / (len(s) + 1)) for s in sets]))
                popular.append(np.mean([len(s) / everybody for s in sets]))
            for item in mine:
                shown[item] += 1
        counts = list(shown.values())
        gini = sum(abs(a - b) for a in counts for b in counts) / (2 * len(counts) * sum(counts))
        assert found[model, "diversity", k] == pytest.approx(np.mean(different))
        assert found[model, "novelty", k] == pytest.approx(np.mean(novel))
        assert found[model, "popularity", k] == pytest.approx(np.mean(popular))
        assert found[model, "exposure_gini", k] == pytest.approx(gini)
