"""What fold-in is worth, on a week whose answer is known without running the code."""

import pytest
from pyspark.sql import SparkSession

from freshet.contracts import RECOMMENDATION_UPDATES, RECOMMENDATIONS
from freshet.evaluation.parameters import EvaluationParameters
from freshet.pipeline.replay import AFTER, BEFORE, evaluate_live
from tests.factories import Row, event, events_frame, frame
from tests.streaming.scenario import plan

pytestmark = pytest.mark.streaming

EVALUATION = EvaluationParameters(
    ks=(1,), bootstrap_samples=100, seed=1, target_order=("purchase",), min_target_users=1, max_users=1000,
    compared_shoppers=1, baseline_half_lives_days=(0.0,), baseline_windows_days=(), fill_window_days=1,
    item_neighbours=1, item_shrinkage=0.0, item_asymmetry=1.0, user_neighbours=1, user_shrinkage=0.0,
)  # fmt: skip


def listed(user: str, item: str, **other: object) -> Row:
    return {"user_id": user, "items": [{"position": 1, "item_id": item, "score": 1.0, "reason": "taste"}], **other}


def streamed(user: str, item: str, clock: str, batch: int, received: str | None = None) -> Row:
    return listed(
        user, item, event_clock=clock, caused_by_received_time=received or clock, query_id="q", batch_id=batch,
        source="stream",
    )  # fmt: skip


def test_only_lists_made_before_a_day_are_judged_on_it(spark: SparkSession) -> None:
    events = [
        # ann, second day: the stream's list of the first day hits, the batch's misses. Third day: the other way.
        event(user="ann", item="x", at="2020-02-02 10:00"),
        event(user="ann", item="y", at="2020-02-03 10:00"),
        # bob was touched by the stream on the very day only, so nothing can be compared.
        event(user="bob", item="x", at="2020-02-02 10:00"),
        # cat has no batch list: newcomers see the common one. What arrived on the day itself made her next list.
        event(user="cat", item="common", at="2020-02-03 10:00"),
        # dan only looked; looking is not the target.
        event("view_item", user="dan", item="x", at="2020-02-03 10:00"),
    ]
    stream = [
        streamed("ann", "x", "2020-02-01 12:00", 1),
        streamed("ann", "z", "2020-02-02 10:00", 2),
        streamed("bob", "x", "2020-02-02 10:00", 2),
        streamed("cat", "c", "2020-02-02 11:00", 2),
        streamed("cat", "common", "2020-02-02 12:00", 3, received="2020-02-03 00:00"),
        streamed("dan", "x", "2020-02-01 12:00", 1),
    ]
    batch = [listed("ann", "y"), listed("bob", "x"), listed("dan", "x")]
    rows = evaluate_live(
        events_frame(spark, events),
        frame(spark, RECOMMENDATIONS, batch),
        frame(spark, RECOMMENDATION_UPDATES, stream),
        ["common"],
        plan=plan(slice_hours=24.0),
        target="purchase",
        evaluation=EVALUATION,
        run_id="r",
    )
    found = {
        row["model"]: (row["task"], row["split"], row["k"], row["value"], row["users"])
        for row in rows
        if row["metric"] == "ndcg"
    }
    assert found == {
        # ann: mean of 0 and 1; cat: 1.
        BEFORE: ("live", "live", 1, 0.75, 2),
        # ann: mean of 1 and 0; cat: 0.
        AFTER: ("live", "live", 1, 0.25, 2),
    }
