"""The audits at the gate, with designed lists of a shop whose shoppers took a niche brand: what is written, and which
limits refuse the challenger."""

from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from freshet.contracts import AUDIT_RESULTS, EVENTS, ITEMS_HISTORY, USER_SEGMENTS
from freshet.evaluation.ranking import per_user
from freshet.pipeline.gate_audits import AuditedLists, GateAudits, gate_audits
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.settings import load_settings
from freshet.tables.warehouse import Warehouse
from tests.factories import event, events_frame, frame, moment

pytestmark = pytest.mark.delta

CLOCK = moment("2026-03-01")
BEFORE = CLOCK - timedelta(days=9)
CASES = ("user_id string, history array<struct<event_name: string, item_id: string, event_time: timestamp>>, "
         "truth array<string>")  # fmt: skip
FEW = ("audits.min_users=1", 'audits.item_attributes=["brand"]')


@pytest.fixture
def shop(spark: SparkSession, warehouse: Warehouse) -> DataFrame:
    """Four shoppers took the niche item of brand Own, eight others the hit of brand Mass. Returns the former, whose
    lists are judged."""
    rows = [event(user=f"n{n}", item="niche", at=BEFORE) for n in range(4)]
    rows += [event(user=f"h{n}", item="hit", at=BEFORE) for n in range(8)]
    # What comes later is not known yet.
    rows += [event(user=f"n{n}", item="hit", at=CLOCK) for n in range(4)]
    warehouse.append(events_frame(spark, rows), EVENTS)
    states = [
        {"item_id": item, "valid_from": at, "known_at": at, "brand": brand}
        for item, at, brand in (("niche", BEFORE, "Own"), ("hit", BEFORE, "Mass"), ("hit", CLOCK, "Own"))
    ]
    warehouse.append(frame(spark, ITEMS_HISTORY, states), ITEMS_HISTORY)
    had = [("purchase", "niche", BEFORE)]
    return spark.createDataFrame([(f"n{n}", had, ["hit"]) for n in range(4)], CASES)


def lists_of(**items: list[str]) -> pa.Table:
    """The same list for the four shoppers, by model."""
    rows = [{"task": "new_items", "model": model, "user_id": f"n{n}", "items": listed}
            for model, listed in items.items() for n in range(4)]  # fmt: skip
    return pa.Table.from_pylist(rows)


def audited(spark: SparkSession, home: Home, shop: DataFrame, lists: pa.Table, *overrides: str) -> GateAudits:
    truth = pa.table({"user_id": [f"n{n}" for n in range(4)], "user_hash": pa.array(range(4), pa.int64()),
                      "items": [["hit"]] * 4})  # fmt: skip
    judged = per_user(lists, truth, ks=[10], by=("task", "model"))
    job = Job(spark, home, load_settings("test", (*FEW, *overrides)))
    facts = AuditedLists(lists, judged, shop, job.warehouse.read(EVENTS), CLOCK, "purchase")
    return gate_audits(job, facts, run_id="gate")


# The hit was taken by 8 and the niche item by 4: a list of both is half as popular again as the latter. In it Own has
# half of the places, and a third of the purchases.
BROKEN = {
    "max_popularity_lift=0.49": "are 50 % more popular than what their 4 shoppers took before, and at most 49 % more",
    'min_exposure_share={"brand=Own"=0.51}': "brand Own have 50 % of the places, below the allowed 51 %",
    'max_exposure_share={"brand=Mass"=0.49}': "brand Mass have 50 % of the places, above the allowed 49 %",
    'min_exposure_ratio={"brand=Mass"=0.8}': "Mass have 0.75 times their share of purchases, below the allowed 0.8",
    'max_exposure_ratio={"brand=Own"=1.4}': "Own have 1.5 times their share of purchases, above the allowed 1.4",
}
KEPT = (
    "max_popularity_lift=0.51", 'min_exposure_share={"brand=Own"=0.5}', 'max_exposure_share={"brand=Mass"=0.5}',
    'min_exposure_ratio={"brand=Mass"=0.7}', 'max_exposure_ratio={"brand=Own"=1.6}',
)  # fmt: skip


@pytest.mark.parametrize("refuses", [True, False])
def test_limits_refuse_lists_that_do_not_keep_them(
    spark: SparkSession, home: Home, shop: DataFrame, refuses: bool
) -> None:
    lists = lists_of(challenger=["hit", "niche"], champion=["niche"])
    results = audited(spark, home, shop, lists, *(f"audits.{limit}" for limit in (BROKEN if refuses else KEPT))).limits
    assert [(result.notes, len(result.metrics)) for result in results] == [((), 1)] * 5
    assert [len(result.refusals) for result in results] == [int(refuses)] * 5
    for result, said in zip(results, BROKEN.values(), strict=True):
        assert all(said in reason and "champion " in reason for reason in result.refusals)


def test_without_a_limit_the_gate_only_writes_what_it_finds(
    spark: SparkSession, home: Home, warehouse: Warehouse, shop: DataFrame
) -> None:
    segments = [{"as_of": CLOCK, "user_id": f"n{n}", "segment_name": "loyal"} for n in range(3)]
    warehouse.append(frame(spark, USER_SEGMENTS, segments), USER_SEGMENTS)
    lists = lists_of(**{"challenger": ["hit"], "popularity/all": ["hit", "niche"]})
    found = audited(spark, home, shop, lists)
    assert found.facts() == {"limits": [], "left_out": {}}
    rows = [row.asDict() for row in warehouse.read(AUDIT_RESULTS).collect()]
    assert {(row["run_id"], row["split"], row["k"]) for row in rows} == {("gate", "validation", 10)}
    figures = {(row["model"], row["audit"], row["group"], row["metric"]): row["value"] for row in rows}
    assert figures["challenger", "item_popularity", "all", "popularity_lift"] == pytest.approx(1.0)
    assert figures["popularity/all", "item_popularity", "all", "popularity_lift"] == pytest.approx(0.5)
    assert figures["challenger", "brand", "Own", "exposure_share"] == 0.0
    assert figures["challenger", "brand", "Own", "purchase_share"] == pytest.approx(1 / 3)
    users = {row["group"]: row["users"] for row in rows
             if (row["model"], row["audit"], row["metric"]) == ("challenger", "segment", "ndcg")}  # fmt: skip
    assert users == {"loyal": 3, "unknown": 1}


def test_what_cannot_be_judged_is_said(spark: SparkSession, home: Home, shop: DataFrame) -> None:
    limits = ("audits.min_users=5", "audits.max_popularity_lift=0.1", 'audits.min_exposure_share={"seller=x"=0.5}')
    found = audited(spark, home, shop, lists_of(challenger=["hit"]), *limits, "audits.max_group_loss=0.1")
    assert [result.refusals for result in found.limits] == [(), (), ()]
    assert [result.notes for result in found.limits] == [
        ("there is no champion to compare with",),
        ("new_items: not judged, 4 lists and 5 needed",),
        ("there are no items with seller x, or no lists",),
    ]
    assert found.left_out == {"segment": "there are no segments yet"}
    assert replace(found, limits=()).facts() == {"limits": [], "left_out": found.left_out}


def test_which_of_several_lists_break_a_limit_is_known_by_task_and_model(
    spark: SparkSession, home: Home, shop: DataFrame
) -> None:
    lists = lists_of(challenger=["niche"], hits=["hit"], both=["hit", "niche"])
    found = audited(spark, home, shop, lists, "audits.max_popularity_lift=0.6")
    assert found.item_limits.broken_by(lists) == {("new_items", "hits")}
    free = audited(spark, home, shop, lists)
    assert free.item_limits.broken_by(lists) == set()
