"""Changes of items on a topic of their own: prices and stock as they change, each state once, and in the lists."""

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from confluent_kafka import Producer
from pyspark.sql import SparkSession

from freshet.contracts import ITEMS_HISTORY, QUARANTINE, STREAM_METRICS
from freshet.core.errors import InputError, MappingError, StateError, TransientError
from freshet.runs import waiting
from freshet.runs.job import Job
from freshet.service.feeds import check_feed
from freshet.service.serving import PARTS, forget_progress
from freshet.service.topic_feed import Topic
from freshet.sources.kafka.java_options import spark_options
from freshet.sources.kafka.topics import create_topic
from freshet.tables.leases import lease
from tests.streaming.service import MAPPING, click, lists_now, rows_of, running, served_job, until

pytestmark = [pytest.mark.streaming, pytest.mark.delta]


@pytest.fixture
def feed(broker: str, request: pytest.FixtureRequest) -> Topic:
    """Topics of the test's own."""
    client = {"bootstrap.servers": broker}
    clicks, items = (f"{kind}-{request.node.name}" for kind in ("clicks", "items"))
    for topic in (clicks, items):
        create_topic(client, topic)
    return Topic(MAPPING, clicks, spark_options(client), client, items)


def send(feed: Topic, topic: str | None, *records: Mapping[str, object] | bytes) -> None:
    assert topic is not None
    producer = Producer(feed.client)
    for record in records:
        value = record if isinstance(record, bytes) else json.dumps(record).encode()
        key = "broken" if isinstance(record, bytes) else str(record["item_id"])
        producer.produce(topic, value, key)
    assert producer.flush(30) == 0


def states_of(job: Job, item: str) -> list[tuple[object, ...]]:
    """(name, price, available) of an item in the order of time, and that each state ends where the next begins."""
    rows = sorted((row for row in rows_of(job, ITEMS_HISTORY) if row["item_id"] == item), key=lambda r: r["valid_from"])
    ends = [*[row["valid_from"] for row in rows[1:]], None] if rows else []
    assert [row["valid_to"] for row in rows] == ends
    return [(row["name"], row["price"], row["available"]) for row in rows]


def test_stock_and_prices_of_a_topic_are_in_the_table_once_and_in_the_lists(
    spark: SparkSession, tmp_path: Path, feed: Topic
) -> None:
    job = served_job(spark, tmp_path / "home")
    send(feed, feed.items, {"item_id": "i7", "name": "Jug", "price": 3.5, "available": 0}, b'{"item_id": ',
         {"item_id": "", "price": 1}, {"item_id": "i5", "available": True})  # fmt: skip
    with running(job, feed):
        until(lambda: bool(states_of(job, "i7") and states_of(job, "i5")))
        send(feed, feed.name, click(1, "ann", "i7"), click(2, "ann", "i7"), click(3, "ann", "i5"))
        until(lambda: lists_now(job).get("ann", [])[:2] == ["i5", "i0"])
        # What a record leaves out stays; what was sent before changes nothing.
        send(feed, feed.items, {"item_id": "i7", "available": 4})
        until(lambda: len(states_of(job, "i7")) == 2)
        before = job.warehouse.version(ITEMS_HISTORY)
        send(feed, feed.items, {"item_id": "i7", "price": 3.5}, {"item_id": "i5", "available": "yes"})
        until(lambda: sum(row["accepted"] for row in metrics(job)) == 5)
        assert job.warehouse.version(ITEMS_HISTORY) == before
        send(feed, feed.name, click(4, "ann", "i7"))
        until(lambda: lists_now(job)["ann"][:2] == ["i7", "i5"])
    assert states_of(job, "i7") == [("Jug", 3.5, False), ("Jug", 3.5, True)]
    refused = sorted((row["reason_code"], row["source_partition"][:-2]) for row in rows_of(job, QUARANTINE))
    assert refused == [("broken_record", feed.items), ("missing_item", feed.items)]
    assert sum(row["input"] for row in metrics(job)) == 7

    # The topic from its beginning again: every state and every refused record is known.
    states, version = rows_of(job, ITEMS_HISTORY), job.warehouse.version(ITEMS_HISTORY)
    forget_progress(job, PARTS)
    with running(job, feed, ("events",)):
        until(lambda: sum(row["input"] for row in metrics(job)) == 14)
    assert job.warehouse.version(ITEMS_HISTORY) == version
    assert rows_of(job, ITEMS_HISTORY) == states
    assert len(rows_of(job, QUARANTINE)) == 2


def metrics(job: Job) -> list[dict[str, object]]:
    return [row for row in rows_of(job, STREAM_METRICS) if row["job"] == "items"]


def test_another_writer_of_the_table_is_waited_for(
    spark: SparkSession, tmp_path: Path, feed: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, waited = served_job(spark, tmp_path / "home"), threading.Event()

    def seen(seconds: float) -> None:
        waited.set()
        time.sleep(seconds)

    with running(job, feed, ("events",)):
        until((job.home.checkpoints / "service" / "items" / "query" / "offsets" / "0").exists)
        # Not the module's own function, which every thread of this process sleeps by.
        monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=time.monotonic, sleep=seen))
        with lease(job.home.locks, "table", ITEMS_HISTORY.name):
            send(feed, feed.items, {"item_id": "i1", "price": 2})
            assert waited.wait(120)
            assert states_of(job, "i1") == []
        until(lambda: states_of(job, "i1") == [(None, 2.0, None)])


def test_another_writer_that_does_not_end_is_reported(tmp_path: Path) -> None:
    with (
        lease(tmp_path, "table", "x"),
        pytest.raises(TransientError, match=r"table x is in use by process \d+ for more than 0 s"),
        waiting.lease_when_free(tmp_path, "table", "x", seconds=0),
    ):
        pass


def test_a_mapping_that_knows_no_items_and_a_missing_topic_are_reported(tmp_path: Path, feed: Topic) -> None:
    plain = tmp_path / "plain.toml"
    plain.write_text(MAPPING.read_text().split("[items", maxsplit=1)[0])
    with pytest.raises(MappingError, match=r"\[items\.catalogue\]"):
        check_feed(Topic(plain, feed.name, feed.options, feed.client, feed.items), PARTS)
    with pytest.raises(InputError, match="a topic of their own"):
        check_feed(Topic(MAPPING, feed.name, feed.options, feed.client, feed.name), PARTS)
    with pytest.raises(StateError, match="no such topic"):
        check_feed(Topic(MAPPING, feed.name, feed.options, feed.client, "none"), PARTS)
