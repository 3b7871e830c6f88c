"""Topics that are empty, made anew, cut off at their beginning or not there at all."""

import json
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS
from freshet.core.errors import StateError, TransientError
from freshet.service.serving import PARTS, forget_progress
from freshet.service.topic_feed import Topic, partitions_of
from freshet.sources.kafka.sending import Sender
from freshet.sources.kafka.topics import begin_offsets, create_topic, delete_topic, topic_id
from tests.streaming.service import MAPPING, click, lists_now, rows_of, running, served_job, taken, until

pytestmark = [pytest.mark.streaming, pytest.mark.cluster]


def topic(broker: str, name: str) -> Topic:
    return Topic(MAPPING, name, {"kafka.bootstrap.servers": broker}, {"bootstrap.servers": broker})


def send(broker: str, name: str, *records: dict[str, object]) -> None:
    sender = Sender({"bootstrap.servers": broker}, name)
    for record in records:
        sender.send(str(record["user_id"]).encode(), json.dumps(record).encode())
    sender.finish()


def test_an_empty_topic_is_waited_on_and_one_created_again_is_not_taken_for_the_old_one(
    spark: SparkSession, tmp_path: Path, broker: str
) -> None:
    client = {"bootstrap.servers": broker}
    job, feed = served_job(spark, tmp_path / "home"), topic(broker, "shrinks")
    create_topic(client, "shrinks", partitions=1)
    with running(job, feed):
        until((job.home.checkpoints / "service" / "lists" / "query" / "offsets" / "0").exists)
        assert lists_now(job) == {}
        send(broker, "shrinks", *[click(n, "ann", f"i{n}") for n in range(1, 4)])
        until(lambda: taken(job) == ["e1", "e2", "e3"])
        until(lambda: "ann" in lists_now(job))
    delete_topic(client, "shrinks")
    create_topic(client, "shrinks", partitions=1)
    # Longer than it was: its end says nothing.
    send(broker, "shrinks", *[click(n, "bob", "i9") for n in range(9, 14)])
    for begin in (lambda: None, lambda: forget_progress(job, PARTS)):
        begin()
        with pytest.raises(StateError, match="a topic of another name"), running(job, feed) as ended:
            ended()
    assert taken(job) == ["e1", "e2", "e3"]


def test_an_unknown_topic_and_a_broker_that_is_away_are_reported(broker: str) -> None:
    with pytest.raises(StateError, match="no such topic"):
        partitions_of(topic(broker, "nowhere"))
    with pytest.raises(TransientError, match="no Kafka broker answers"):
        partitions_of(topic("127.0.0.1:9", "nowhere"))


def test_records_that_expired_unread_end_the_stream_and_a_restart_reports_how_many(
    spark: SparkSession, tmp_path: Path, broker: str
) -> None:
    client = {"bootstrap.servers": broker}
    job, feed = served_job(spark, tmp_path / "home"), topic(broker, "expires")
    create_topic(client, "expires", partitions=1)
    send(broker, "expires", *[click(n, "ann", f"i{n}") for n in (1, 2)])
    with running(job, feed):
        until(lambda: taken(job) == ["e1", "e2"])
        until(lambda: "ann" in lists_now(job))
    send(broker, "expires", *[click(n, "ann", f"i{n}") for n in (3, 4, 5, 6)])
    admin = AdminClient(client)  # must outlive its answer
    for answer in admin.delete_records([TopicPartition("expires", 0, 5)]).values():
        answer.result(timeout=60)
    assert begin_offsets(client, "expires") == {0: 5}
    with pytest.raises(StateError, match=r"they expired.* --rebuild"), running(job, feed) as ended:
        ended()
    assert taken(job) == ["e1", "e2"]
    forget_progress(job, PARTS)
    messages: list[str] = []
    with running(job, feed, notify=messages.append):
        until(lambda: taken(job) == ["e1", "e2", "e6"])
        until(lambda: lists_now(job).get("ann", [])[:3] == ["i1", "i2", "i6"])
    assert "3 records of topic expires, partition 0, expired before they were read" in messages
    # Of the old ones none was read twice.
    assert [row["source_offset"] for row in rows_of(job, EVENTS) if row["event_id"] == "e6"] == [5]


def test_a_topic_keeps_its_id_until_it_is_deleted(broker: str) -> None:
    client = {"bootstrap.servers": broker}
    create_topic(client, "known")
    first = topic_id(client, "known")
    assert len(first or "") == 32
    assert topic_id(client, "known") == first
    delete_topic(client, "known")
    create_topic(client, "known")
    assert topic_id(client, "known") not in (first, None)
