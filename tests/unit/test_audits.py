"""Audits: groups, quality by group, exposure and limits, on designed data and against loops."""

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.errors import InputError
from freshet.evaluation.audits.exposure import exposure_by_group, popularity_lift
from freshet.evaluation.audits.groups import OTHERS, UNKNOWN, quantile_groups, value_groups
from freshet.evaluation.audits.limits import group_refusals
from freshet.evaluation.audits.quality import group_differences, group_quality

pytestmark = pytest.mark.unit

SHOPPERS = 400


def judged(ndcg: list[float], model: str | None = None) -> pa.Table:
    """A per-shopper table of one task at k 10; a hit wherever NDCG is not 0."""
    rows = range(len(ndcg))
    columns: dict[str, Any] = {"task": ["new_items"] * len(ndcg)} | ({"model": [model] * len(ndcg)} if model else {})
    columns |= {"user_id": [f"u{row}" for row in rows], "user_hash": pa.array([row * 7919 for row in rows], pa.int64())}
    columns |= {"k": pa.array([10] * len(ndcg), pa.int32()), "ndcg": ndcg, "hit": [float(v > 0) for v in ndcg]}
    return pa.table(columns)


def by_country(countries: list[str]) -> pa.Table:
    rows = {"user_id": [f"u{n}" for n in range(len(countries))], "audit": ["country"] * len(countries)}
    return pa.table({**rows, "group": countries})


COUNTRIES = ["north" if n % 4 else "south" for n in range(SHOPPERS)]


def test_quantile_groups_are_named_after_their_members_and_keep_equal_numbers_together() -> None:
    numbers = np.array([1.0, 1, 1, 1, 2, 3, 7, np.nan, np.inf])
    assert quantile_groups(numbers, groups=3).to_pylist() == ["1"] * 4 + ["2"] + ["3 to 7"] * 2 + [UNKNOWN] * 2
    assert quantile_groups(np.array([]), groups=3).to_pylist() == []
    with pytest.raises(InputError, match="at least one group"):
        quantile_groups(numbers, groups=0)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(1, 6))
def test_quantile_groups_are_ordered_and_few(numbers: list[int], groups: int) -> None:
    names = quantile_groups(np.array(numbers, dtype=float), groups=groups).to_pylist()
    members: dict[str, list[int]] = {}
    for number, name in zip(numbers, names, strict=True):
        members.setdefault(name, []).append(number)
    assert len(members) <= groups
    ordered = sorted(members.values(), key=min)
    assert all(max(one) < min(other) for one, other in itertools.pairwise(ordered))


@given(st.lists(st.sampled_from(["a", "b", "c", "d", " ", None])), st.integers(1, 4))
def test_rare_values_are_together_and_missing_ones_apart(texts: list[str | None], at_most: int) -> None:
    found = value_groups(pa.array(texts, pa.string()), at_most=at_most).to_pylist()
    counts = Counter(text for text in texts if text and text.strip())
    ranked = [text for _, text in sorted((-count, text) for text, count in counts.items())]
    for text, group in zip(texts, found, strict=True):
        missing = text is None or text == " "
        assert group == (UNKNOWN if missing else text if text in ranked[:at_most] else OTHERS)


def test_a_group_that_is_served_worse_is_found() -> None:
    table = judged([0.6 if country == "north" else 0.0 for country in COUNTRIES])
    found = {(row["group"], row["metric"]): row for row in group_quality(table, by_country(COUNTRIES), samples=200)}
    assert found["north", "ndcg"]["value"] == pytest.approx(0.6)
    assert found["south", "ndcg"]["value"] == 0.0
    assert (found["north", "hit"]["value"], found["north", "hit"]["users"]) == (1.0, 300)
    assert found["south", "hit"]["users"] == 100


def test_shoppers_without_a_row_are_unknown_and_groups_give_the_mean_of_all() -> None:
    values = np.random.default_rng(3).random(SHOPPERS).tolist()
    known = by_country(COUNTRIES).slice(0, 250)
    rows = [r for r in group_quality(judged(values), known, samples=100) if r["metric"] == "ndcg"]
    assert {row["group"]: row["users"] for row in rows}[UNKNOWN] == 150
    for row in rows:
        mine = [v for n, v in enumerate(values) if (COUNTRIES[n] if n < 250 else UNKNOWN) == row["group"]]
        assert row["value"] == pytest.approx(np.mean(mine), abs=1e-6)
    assert sum(row["users"] for row in rows) == SHOPPERS
    assert group_quality(judged(values), known.slice(0, 0), samples=100) == []


def test_a_group_that_loses_is_refused_though_all_shoppers_together_gain() -> None:
    noise = np.random.default_rng(5).normal(0, 0.01, SHOPPERS)
    change = [0.1 if country == "north" else -0.1 for country in COUNTRIES]
    after = judged([0.5 + c + n for c, n in zip(change, noise, strict=True)])
    before = judged([0.5] * SHOPPERS, "champion")
    rows = group_differences(
        after, before, by_country(COUNTRIES), metric="ndcg", k=10, samples=200, by=["task", "model"]
    )
    assert [row["group"] for row in rows] == ["north", "south"]
    assert rows[1]["value"] == pytest.approx(-0.1, abs=0.005)
    (reason,) = group_refusals(rows, max_loss=0.05, min_users=100)
    assert "new_items: country south loses: ndcg@10" in reason
    assert "over 100 shoppers, below the allowed -0.0500" in reason
    assert group_refusals(rows, max_loss=0.05, min_users=101) == []
    assert group_refusals(rows, max_loss=0.2, min_users=1) == []
    assert group_refusals(rows, max_loss=1.0, min_users=1) == []


@pytest.mark.parametrize(("high", "refused"), [(-0.05, False), (-0.0501, True), (None, False), (float("nan"), False)])
def test_the_upper_end_of_the_interval_decides(high: float | None, refused: bool) -> None:
    row = {"task": "t", "audit": "a", "group": "g", "metric": "ndcg", "k": 10, "value": -0.2, "low": -0.3, "users": 9}
    assert bool(group_refusals([{**row, "high": high}], max_loss=0.05, min_users=9)) is refused


LISTS = pa.table({"task": ["t"] * 3, "user_id": ["u", "v", "w"],
                  "items": pa.array([["a", "b"], ["a", "z"], None], pa.list_(pa.string()))})  # fmt: skip
GROUPS = pa.table({"item_id": ["a", "b", "c"], "group": ["large", "small", "small"]})


def test_exposure_is_compared_with_purchases() -> None:
    bought = pa.table({"item_id": ["a", "b", "c"], "purchases": [5, 3, 2]})
    rows = exposure_by_group(LISTS, bought, GROUPS, ks=(1, 2), by=["task"])
    found = {(row["group"], row["metric"], row["k"]): row["value"] for row in rows}
    assert found["large", "exposure_share", 2] == 0.5
    assert found["large", "exposure_ratio", 2] == pytest.approx(1.0)
    assert found["small", "purchase_share", 2] == 0.5
    assert found["small", "exposure_ratio", 2] == pytest.approx(0.5)
    assert found["small", "exposure_ratio", 1] == 0.0
    assert found[UNKNOWN, "exposure_ratio", 2] is None
    assert {row["users"] for row in rows} == {2}
    # Nobody sees or buys an item of this group.
    more = pa.concat_tables([GROUPS, pa.table({"item_id": ["d"], "group": ["new"]})])
    rows = [row for row in exposure_by_group(LISTS, bought, more, ks=(2,), by=["task"]) if row["group"] == "new"]
    assert {row["metric"]: row["value"] for row in rows} == {
        "exposure_share": 0.0, "purchase_share": 0.0, "exposure_ratio": None,
    }  # fmt: skip


def test_lists_twice_as_popular_as_histories_have_a_lift_of_one() -> None:
    popularity = pa.table({"item_id": ["a", "b"], "popularity": [0.4, 0.2]})
    lists = pa.table({"user_id": ["u", "v", "x"], "items": [["a", "new"], ["a"], ["a"]]})
    histories = pa.table({"user_id": ["v", "u"], "items": [["b", "b"], ["b"]]})
    (one, two) = popularity_lift(lists, histories, popularity, ks=(1, 2))
    assert (one["value"], one["users"]) == (pytest.approx(1.0), 2)
    assert two["value"] == pytest.approx(0.3 / 0.2 - 1)
    assert popularity_lift(lists, histories.slice(0, 0), popularity, ks=(1,)) == []
