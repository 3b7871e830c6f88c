"""Metrics of lists: hand-computed cases, edges, and a slow oracle on random lists."""

import math
import random

import pyarrow as pa
import pytest

from freshet.contracts import EVALUATION_RESULTS
from freshet.core.errors import InputError
from freshet.evaluation.ranking import RANKING_METRICS, coverage, evaluation_rows, paired_difference, per_user, summary
from tests.oracles_ranking import Lists, ranking_metrics

LISTS = pa.schema(
    [("model", pa.string()), ("task", pa.string()), ("user_id", pa.string()), ("items", pa.list_(pa.string()))]
)
TRUTH = pa.schema([("user_id", pa.string()), ("user_hash", pa.int64()), ("items", pa.list_(pa.string()))])


def lists_table(lists: Lists, model: str = "m", task: str = "t") -> pa.Table:
    rows = [{"model": model, "task": task, "user_id": user, "items": items} for user, items in lists.items()]
    return pa.Table.from_pylist(rows, LISTS)


def truth_table(truth: dict[str, list[str] | None], task: str | None = None) -> pa.Table:
    rows = [{"user_id": user, "user_hash": hash(user), "items": items} for user, items in truth.items()]
    table = pa.Table.from_pylist(rows, TRUTH)
    return table if task is None else table.append_column("task", pa.repeat(task, len(rows)))


def test_metrics_equal_hand_computed_numbers() -> None:
    # Hits at places 1 and 3 of a list of 4, three true items.
    lists = lists_table({"u": ["a", "x", "b", "y"]})
    [row] = per_user(lists, truth_table({"u": ["a", "b", "c"]}), ks=[4]).to_pylist()
    assert row["k"] == 4
    assert row["recall"] == pytest.approx(2 / 3)
    assert row["precision"] == pytest.approx(2 / 4)
    assert row["ndcg"] == pytest.approx((1 + 1 / 2) / (1 + 1 / math.log2(3) + 1 / 2))
    assert row["map"] == pytest.approx((1 + 2 / 3) / 3)
    assert row["hit"] == 1.0


def test_edges_of_lists_and_truth() -> None:
    lists = lists_table(
        {
            "repeats": ["a", "a", "b"],  # the second a is a miss that keeps its place
            "empty": [],
            "short": ["a"],
            "no truth": ["a"],
            "null truth": ["a"],
        },
    )
    truth: dict[str, list[str] | None] = {
        "repeats": ["a", "b", "b"],  # b counts once
        "empty": ["a"],
        "short": ["a", "z"],
        "without list": ["a"],
        "no truth": [],
        "null truth": None,
    }
    rows = {row["user_id"]: row for row in per_user(lists, truth_table(truth), ks=[3]).to_pylist()}
    assert set(rows) == {"repeats", "empty", "short", "without list"}
    assert rows["repeats"]["recall"] == 1.0
    assert rows["repeats"]["map"] == pytest.approx((1 + 2 / 3) / 2)
    assert all(rows["empty"][metric] == 0 for metric in RANKING_METRICS)
    assert all(rows["without list"][metric] == 0 for metric in RANKING_METRICS)
    assert rows["short"]["precision"] == pytest.approx(1 / 3)
    assert rows["short"]["ndcg"] == pytest.approx(1 / (1 + 1 / math.log2(3)))


@pytest.mark.parametrize("seed", [1, 2])
def test_random_lists_equal_the_oracle_at_every_k(seed: int) -> None:
    chance = random.Random(seed)
    items = [f"i{n}" for n in range(12)]
    # Repeats, empty lists, and lists shorter and longer than k all occur.
    lists = {f"u{n}": chance.choices(items, k=chance.randrange(0, 9)) for n in range(40)}
    truth = {user: chance.sample(items, chance.randrange(1, 9)) for user in lists}
    ks = [1, 3, 6]
    rows = per_user(lists_table(lists), truth_table(truth), ks=ks).to_pylist()
    assert len(rows) == len(lists) * len(ks)
    for row in rows:
        wanted = ranking_metrics(lists[row["user_id"]], set(truth[row["user_id"]]), row["k"])
        assert {name: row[name] for name in wanted} == pytest.approx(wanted)


def test_models_and_tasks_are_judged_side_by_side_with_the_truth_of_their_task() -> None:
    lists = pa.concat_tables(
        [
            lists_table({"u": ["a"]}, "one", "baskets"),
            lists_table({"u": ["b"]}, "one", "new"),
            lists_table({"v": ["c"]}, "two", "new"),
        ]
    )
    truth = pa.concat_tables([truth_table({"u": ["a"]}, "baskets"), truth_table({"u": ["b"], "v": ["c"]}, "new")])
    rows = per_user(lists, truth, ks=[1], by=["task", "model"]).to_pylist()
    hits = {(row["task"], row["model"], row["user_id"]): row["hit"] for row in rows}
    assert hits == {
        ("baskets", "one", "u"): 1.0,
        ("new", "one", "u"): 1.0,
        ("new", "one", "v"): 0.0,  # no list of this model
        ("new", "two", "u"): 0.0,
        ("new", "two", "v"): 1.0,
    }


@pytest.mark.parametrize("ks", [[], [0], [5, -1]])
def test_impossible_ks_are_refused(ks: list[int]) -> None:
    with pytest.raises(InputError, match="k of 1 or more"):
        per_user(lists_table({"u": ["a"]}), truth_table({"u": ["a"]}), ks=ks)


def test_coverage_counts_distinct_items_of_the_first_k() -> None:
    lists = lists_table({"u": ["a", "b", "c"], "v": ["b", "a", "d"], "w": []})
    other = lists_table({"u": ["a"]}, "other")
    rows = coverage(pa.concat_tables([lists, other]), k=2, catalogue_size=8, by=["model"])
    assert sorted(rows, key=lambda row: row["model"]) == [
        {"model": "m", "metric": "coverage", "k": 2, "value": 0.25, "low": None, "high": None, "users": 3},
        {"model": "other", "metric": "coverage", "k": 2, "value": 0.125, "low": None, "high": None, "users": 1},
    ]


def test_coverage_without_a_catalogue_is_refused() -> None:
    with pytest.raises(InputError, match="no catalogue"):
        coverage(lists_table({"u": ["a"]}), k=1, catalogue_size=0)


def test_nobody_to_judge_gives_no_figures() -> None:
    judged = per_user(lists_table({}), truth_table({"u": ["a"]}), ks=[1], by=["model"])
    assert judged.column_names == ["model", "user_id", "user_hash", "k", *RANKING_METRICS]
    assert summary(judged, samples=200, by=["model"]) == []


def test_figures_become_rows_of_the_results_table() -> None:
    lists = lists_table({"u": ["a"], "v": ["b"]})
    judged = per_user(lists, truth_table({"u": ["a"], "v": ["a"]}), ks=[1])
    rows = evaluation_rows(summary(judged, samples=200), run_id="r", split="test", task="next_baskets", model="m")
    assert set(rows[0]) == set(EVALUATION_RESULTS.column_names)
    assert {row["protocol"] for row in rows} == {None}
    rows = evaluation_rows(rows, run_id="r", split="test", protocol="time_split")
    assert {row["protocol"] for row in rows} == {"time_split"}
    assert {row["metric"]: row["value"] for row in rows} == pytest.approx(dict.fromkeys(RANKING_METRICS, 0.5))
    assert {(row["users"], row["low"], row["high"]) for row in rows} == {(2, 0.0, 1.0)}


def test_a_paired_difference_is_much_narrower_than_the_means() -> None:
    # b is always exactly 0.1 below a, while shoppers differ from 0.2 to 1.
    better = [
        {"task": "t", "user_id": f"u{n}", "user_hash": n, "k": k, "ndcg": (0.2 + n / 50) * (k == 10)}
        for n in range(40)
        for k in (5, 10)
    ]
    worse = [{**row, "model": "b", "ndcg": row["ndcg"] - 0.1} for row in better]
    a, b = pa.Table.from_pylist(better), pa.Table.from_pylist(worse)
    [row] = paired_difference(a, b, metric="ndcg", k=10, samples=200, by=["task", "model"])
    assert (row["task"], row["model"], row["metric"], row["k"], row["users"]) == ("t", "b", "ndcg", 10, 40)
    assert [row["value"], row["low"], row["high"]] == pytest.approx([0.1, 0.1, 0.1])


def test_a_difference_of_an_unknown_metric_is_refused() -> None:
    judged = pa.table({"user_id": ["u"], "k": [10], "ndcg": [0.5]})
    with pytest.raises(InputError, match="no such metric"):
        paired_difference(judged, judged, metric="beauty", k=10, samples=100)
