"""A new champion in the middle of a stream: every row is one model's, and a roll-back is the same move backwards."""

import random
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS, ITEM_FEATURES, RECOMMENDATION_UPDATES
from freshet.models.factors.als import Factoriser
from freshet.models.factors.parameters import AlsParameters, FactorisationParameters
from freshet.ranking.artifact import Artifact
from freshet.ranking.assembly import assembled
from freshet.runs.registered_models import RECOMMENDER, registry
from tests.artifacts import HISTORY_TYPE, both, listed, recipe
from tests.factories import Row, frame, local_frame, moment
from tests.streaming.service import click, feed_of, lists_now, promoted, put, rows_of, running, served_job, until

pytestmark = pytest.mark.streaming

SHOPPERS, ITEM_IDS = [f"u{n}" for n in range(6)], [f"i{n:02}" for n in range(12)]


def trained(spark: SparkSession, seed: int) -> Artifact:
    """A model of one training; another seed gives other vectors and other lists."""
    draw = random.Random(5)
    rows = [{"user_id": f"t{n}", "item_id": item, "first_time": "2025-01-01",
             "strength": 1.0 + draw.random()}
            for n in range(20) for item in draw.sample(ITEM_IDS, 4)]  # fmt: skip
    strengths = local_frame(spark, "user_id string, item_id string, first_time timestamp, strength double", rows)
    params = AlsParameters(3, 1, 0.1, 5.0, seed)
    features = frame(
        spark, ITEM_FEATURES, [{"item_id": item, "first_seen": "2025-01-01"} for item in ITEM_IDS]
    ).toArrow()
    factoriser = Factoriser(FactorisationParameters("native", 3, 1.0), 2, print)
    factors = factoriser.fit(strengths, params, with_users=False).items
    chosen = recipe(als=params, weights=both(factors=1.0), event_weights={"view_item": 1.0}, target="view_item")
    return assembled(chosen, features=features, factors=factors, item_weights={}, as_of=moment("2026-01-01"))


def made_again(events: list[Row], row: Row, model: Artifact) -> list[tuple[str, float]]:
    """The list of a row, made anew from the events until the one that caused it, by one model."""
    known = [one for one in events if one["user_id"] == row["user_id"]
             and one["event_time"] <= row["caused_by_event_time"]]  # fmt: skip
    names = ("event_time", "event_id", "item_id", "event_name", "quantity")
    newest_first = sorted(known, key=lambda one: one["event_time"], reverse=True)
    past = [{**{name: one[name] for name in names}, "order_id": one["event_id"]} for one in newest_first]
    rows = pa.RecordBatch.from_arrays(
        [pa.array([row["user_id"]]), pa.array([past], HISTORY_TYPE)], ["user_id", "history"]
    )
    found = listed(rows, model, clock=row["event_clock"], length=20, policy="next_baskets").to_pylist()[0]
    return [(item["item_id"], round(item["score"], 4)) for item in found["items"]]


def test_no_row_mixes_two_models_and_a_roll_back_moves_back(spark: SparkSession, tmp_path: Path) -> None:
    models = {"1.0": trained(spark, 1), "2.0": trained(spark, 2)}
    job = served_job(spark, tmp_path / "home", model=models["1.0"])
    feed = feed_of(tmp_path / "clicks")
    draw, sent = random.Random(9), 0

    def clicks() -> None:
        """One event of every shopper, and all of their lists."""
        nonlocal sent
        before = len(rows_of(job, RECOMMENDATION_UPDATES))
        put(
            feed.path,
            f"{sent:03}.json",
            *[click(sent + n, user, draw.choice(ITEM_IDS)) for n, user in enumerate(SHOPPERS)],
        )
        sent += len(SHOPPERS)
        until(lambda: len(rows_of(job, RECOMMENDATION_UPDATES)) == before + len(SHOPPERS))

    with running(job, feed):
        clicks()
        promoted(job, models["2.0"], "second")
        clicks()
        registry(job).promote(RECOMMENDER, 1)
        clicks()
    rows = sorted(rows_of(job, RECOMMENDATION_UPDATES), key=lambda row: row["batch_id"])
    assert [(row["model_version"], row["generation"]) for row in rows[:: len(SHOPPERS)]] == [
        ("1.0", 1), ("2.0", 2), ("1.0", 3),
    ]  # fmt: skip
    events = [row.asDict() for row in job.warehouse.read(EVENTS).collect()]
    for row in rows:
        row |= {name: row[name].replace(tzinfo=None) for name in ("caused_by_event_time", "event_clock")}
        served = [(item["item_id"], round(item["score"], 4)) for item in row["items"]]
        other = "2.0" if row["model_version"] == "1.0" else "1.0"
        assert served == made_again(events, row, models[row["model_version"]])
        assert served != made_again(events, row, models[other])
    # What a reader sees last is the roll-back's, not the newer model's.
    assert len(lists_now(job)) == len(SHOPPERS)
