"""Metrics of lists: hand-computed cases, edges, and a slow oracle on random lists."""

import math
import random

import pytest
from pyspark.sql import DataFrame, SparkSession

from freshet.contracts import EVALUATION_RESULTS
from freshet.errors import InputError
from freshet.evaluation.ranking import RANKING_METRICS, coverage, evaluation_rows, paired_difference, per_user, summary
from tests.factories import local_frame
from tests.oracles_ranking import Lists, ranking_metrics

LISTS = "model string, task string, user_id string, items array<struct<position:int,item_id:string,score:double>>"


def lists_frame(spark: SparkSession, lists: Lists, model: str = "m", task: str = "t") -> DataFrame:
    rows = [
        {
            "model": model,
            "task": task,
            "user_id": user,
            "items": [{"position": n, "item_id": item, "score": -n} for n, item in enumerate(items, 1)],
        }
        for user, items in lists.items()
    ]
    return local_frame(spark, LISTS, rows)


def truth_frame(spark: SparkSession, truth: dict[str, list[str] | None]) -> DataFrame:
    rows = [{"user_id": user, "items": items} for user, items in truth.items()]
    return local_frame(spark, "user_id string, items array<string>", rows)


def test_metrics_equal_hand_computed_numbers(spark: SparkSession) -> None:
    # Hits at places 1 and 3 of a list of 4, three true items.
    lists = lists_frame(spark, {"u": ["a", "x", "b", "y"]})
    [row] = per_user(lists, truth_frame(spark, {"u": ["a", "b", "c"]}), ks=[4]).collect()
    assert row["k"] == 4
    assert row["recall"] == pytest.approx(2 / 3)
    assert row["precision"] == pytest.approx(2 / 4)
    assert row["ndcg"] == pytest.approx((1 + 1 / 2) / (1 + 1 / math.log2(3) + 1 / 2))
    assert row["map"] == pytest.approx((1 + 2 / 3) / 3)
    assert row["hit"] == 1.0


def test_edges_of_lists_and_truth(spark: SparkSession) -> None:
    lists = lists_frame(
        spark,
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
    rows = {row["user_id"]: row for row in per_user(lists, truth_frame(spark, truth), ks=[3]).collect()}
    assert set(rows) == {"repeats", "empty", "short", "without list"}
    assert rows["repeats"]["recall"] == 1.0
    assert rows["repeats"]["map"] == pytest.approx((1 + 2 / 3) / 2)
    assert all(rows["empty"][metric] == 0 for metric in RANKING_METRICS)
    assert all(rows["without list"][metric] == 0 for metric in RANKING_METRICS)
    assert rows["short"]["precision"] == pytest.approx(1 / 3)
    assert rows["short"]["ndcg"] == pytest.approx(1 / (1 + 1 / math.log2(3)))


def test_entries_are_judged_by_position_whatever_their_order_in_the_array(spark: SparkSession) -> None:
    entries = [{"position": 7, "item_id": "b", "score": 0.0}, {"position": 2, "item_id": "a", "score": 0.0}]
    lists = local_frame(spark, LISTS, [{"user_id": "u", "items": entries}])
    [row] = per_user(lists, truth_frame(spark, {"u": ["a"]}), ks=[1]).collect()
    assert row["hit"] == 1.0


@pytest.mark.parametrize("seed", [1, 2])
def test_random_lists_equal_the_oracle_at_every_k(spark: SparkSession, seed: int) -> None:
    chance = random.Random(seed)
    items = [f"i{n}" for n in range(12)]
    # Repeats, empty lists and lists shorter than k all occur.
    lists = {f"u{n}": chance.choices(items, k=chance.randrange(0, 9)) for n in range(40)}
    truth = {user: chance.sample(items, chance.randrange(1, 9)) for user in lists}
    ks = [1, 3, 10]
    rows = per_user(lists_frame(spark, lists), truth_frame(spark, truth), ks=ks).collect()
    assert len(rows) == len(lists) * len(ks)
    for row in rows:
        wanted = ranking_metrics(lists[row["user_id"]], set(truth[row["user_id"]]), row["k"])
        assert row.asDict() == pytest.approx({"user_id": row["user_id"], "k": row["k"], **wanted})


def test_models_and_tasks_are_judged_side_by_side_with_the_truth_of_their_task(spark: SparkSession) -> None:
    one = lists_frame(spark, {"u": ["a"]}, "one", "baskets").union(lists_frame(spark, {"u": ["b"]}, "one", "new"))
    lists = one.union(lists_frame(spark, {"v": ["c"]}, "two", "new"))
    truth = local_frame(
        spark,
        "task string, user_id string, items array<string>",
        [
            {"task": "baskets", "user_id": "u", "items": ["a"]},
            {"task": "new", "user_id": "u", "items": ["b"]},
            {"task": "new", "user_id": "v", "items": ["c"]},
        ],
    )
    rows = per_user(lists, truth, ks=[1], by=["task", "model"]).collect()
    hits = {(row["task"], row["model"], row["user_id"]): row["hit"] for row in rows}
    assert hits == {
        ("baskets", "one", "u"): 1.0,
        ("new", "one", "u"): 1.0,
        ("new", "one", "v"): 0.0,  # no list of this model
        ("new", "two", "u"): 0.0,
        ("new", "two", "v"): 1.0,
    }


@pytest.mark.parametrize("ks", [[], [0], [5, -1]])
def test_impossible_ks_are_refused(spark: SparkSession, ks: list[int]) -> None:
    with pytest.raises(InputError, match="k of 1 or more"):
        per_user(lists_frame(spark, {"u": ["a"]}), truth_frame(spark, {"u": ["a"]}), ks=ks)


def test_coverage_counts_distinct_items_of_the_first_k(spark: SparkSession) -> None:
    lists = lists_frame(spark, {"u": ["a", "b", "c"], "v": ["b", "a", "d"], "w": []})
    [row] = coverage(lists, k=2, catalogue_size=8).collect()
    assert row.asDict() == {"metric": "coverage", "k": 2, "value": 0.25, "low": None, "high": None, "users": 3}


def test_coverage_without_a_catalogue_is_refused(spark: SparkSession) -> None:
    with pytest.raises(InputError, match="no catalogue"):
        coverage(lists_frame(spark, {"u": ["a"]}), k=1, catalogue_size=0)


def test_figures_become_rows_of_the_results_table(spark: SparkSession) -> None:
    lists = lists_frame(spark, {"u": ["a"], "v": ["b"]})
    judged = per_user(lists, truth_frame(spark, {"u": ["a"], "v": ["a"]}), ks=[1])
    figures = summary(judged, samples=200, seed=1)
    rows = evaluation_rows(figures, run_id="r", split="test", task="next_baskets", model="m").collect()
    assert rows[0].__fields__ == EVALUATION_RESULTS.column_names
    assert {row["metric"]: row["value"] for row in rows} == pytest.approx(dict.fromkeys(RANKING_METRICS, 0.5))
    assert {(row["users"], row["low"], row["high"]) for row in rows} == {(2, 0.0, 1.0)}


def test_a_paired_difference_is_much_narrower_than_the_means(spark: SparkSession) -> None:
    # b is always exactly 0.1 below a, while shoppers differ from 0.2 to 1.
    columns = "task string, model string, user_id string, k int, ndcg double"
    better = [{"task": "t", "user_id": f"u{n}", "k": 10, "ndcg": 0.2 + n / 50} for n in range(40)]
    worse = [{**row, "model": "b", "ndcg": row["ndcg"] - 0.1} for row in better]
    a, b = local_frame(spark, columns, better), local_frame(spark, columns, worse)
    [row] = paired_difference(
        a.drop("model"), b, metric="ndcg", k=10, samples=200, seed=3, by=["task", "model"]
    ).collect()
    assert (row["task"], row["model"], row["metric"], row["k"], row["users"]) == ("t", "b", "ndcg", 10, 40)
    assert [row["value"], row["low"], row["high"]] == pytest.approx([0.1, 0.1, 0.1])


def test_a_difference_of_an_unknown_metric_is_refused(spark: SparkSession) -> None:
    judged = local_frame(spark, "user_id string, k int, ndcg double", [])
    with pytest.raises(InputError, match="no such metric"):
        paired_difference(judged, judged, metric="beauty", k=10, samples=100, seed=1)
