"""Events of a source, sent to a real broker and read back."""

import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Consumer, TopicPartition
from pyspark.sql import SparkSession

from freshet.core.errors import InputError, SetupError
from freshet.pipeline.produce import LEFT_OUT, stamped, write_messages, written_messages
from freshet.runs.home import Home
from freshet.runs.settings import load_settings
from freshet.sources.kafka.sending import Message, Pace, Sender, send_paced
from freshet.sources.kafka.topics import create_topic, delete_topic, end_offsets, topic_exists
from tests.streaming.broker import free_ports, kafka

pytestmark = [pytest.mark.streaming, pytest.mark.cluster]

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "conf/sources/online_retail_ii.toml"
INPUT = REPOSITORY / "tests/fixtures/sources/online_retail_ii.parquet"
NOW = datetime(2026, 1, 1)


class Received(NamedTuple):
    partition: int
    key: str
    value: dict[str, Any]


def received(address: str, topic: str) -> list[Received]:
    """All messages of a topic, partition after partition."""
    ends = end_offsets({"bootstrap.servers": address}, topic)
    consumer = Consumer({"bootstrap.servers": address, "group.id": topic, "enable.auto.commit": "false"})
    consumer.assign([TopicPartition(topic, number, 0) for number in ends])
    messages: list[Any] = []
    while len(messages) < sum(ends.values()):
        some = consumer.consume(sum(ends.values()) - len(messages), timeout=10)
        assert some, f"{len(messages)} of {ends} came"
        messages += some
    consumer.close()
    ordered = sorted(messages, key=lambda message: (message.partition(), message.offset()))
    return [Received(one.partition(), one.key().decode(), json.loads(one.value())) for one in ordered]


def written(
    spark: SparkSession, folder: Path, *, limit: int | None = None, received_later: bool = True
) -> list[Message]:
    write_messages(
        spark, folder, source=SOURCE, input_path=INPUT, params=load_settings(None, ()).cleaning, now=NOW,
        limit=limit, received_later=received_later,
    )  # fmt: skip
    return list(written_messages(folder))


def test_a_topic_holds_what_ingest_accepts_in_order_of_time_for_each_shopper(
    spark: SparkSession, broker: str, tmp_path: Path, home: Home
) -> None:
    from freshet.contracts import EVENTS
    from freshet.pipeline.ingestion.ingest import ingest
    from freshet.tables.warehouse import Warehouse

    sender = Sender({"bootstrap.servers": broker}, "produced")
    begun = datetime.now(UTC)
    count = send_paced(sender, written(spark, tmp_path / "m"), Pace(), clock=lambda: 0.0, stamped=stamped)
    messages = received(broker, "produced")

    ingest(spark, home, source=SOURCE, input_path=INPUT, params=load_settings(None, ()).cleaning, now=NOW)
    events = {row["event_id"]: row.asDict() for row in Warehouse(spark, home.warehouse).read(EVENTS).collect()}
    assert count == len(messages) == len(events) > 100
    assert {message.value["event_id"] for message in messages} == set(events)
    for message in messages:
        event = events[message.value["event_id"]]
        assert message.key == (event["user_id"] or f"anon:{event['anonymous_id']}")
        sent_at = datetime.fromisoformat(message.value.pop("received_time"))
        assert begun <= sent_at <= datetime.now(UTC)
        assert datetime.fromisoformat(message.value.pop("event_time")).replace(tzinfo=None) == event["event_time"]
        others = {"event_time", "received_time", *LEFT_OUT}
        assert message.value == {
            name: value for name, value in event.items() if value is not None and name not in others
        }
    assert len({message.partition for message in messages}) == 2


def test_messages_are_in_order_of_time_and_each_shopper_is_in_one_partition(
    spark: SparkSession, broker: str, tmp_path: Path
) -> None:
    messages = written(spark, tmp_path / "m", received_later=False)
    assert [message.after for message in messages] == sorted(message.after for message in messages)
    assert messages[0].after == 0.0 < messages[-1].after
    send_paced(Sender({"bootstrap.servers": broker}, "ordered"), messages, Pace(), clock=lambda: 0.0)
    times: dict[tuple[int, str], list[str]] = {}
    for message in received(broker, "ordered"):
        assert message.value["received_time"] == message.value["event_time"]  # the source has no receipt times
        assert len(message.value["event_time"]) == len("2010-01-10T21:51:00.000000Z")
        times.setdefault((message.partition, message.key), []).append(message.value["event_time"])
    assert len(times) == len({key for _, key in times}) > 10
    assert all(moments == sorted(moments) for moments in times.values())


def test_a_limit_takes_the_first_events(spark: SparkSession, tmp_path: Path) -> None:
    every = [message.after for message in written(spark, tmp_path / "all")]
    assert [message.after for message in written(spark, tmp_path / "few", limit=7)] == every[:7]


def test_topics_are_created_described_and_deleted(broker: str) -> None:
    options = {"bootstrap.servers": broker}
    assert not topic_exists(options, "fresh")
    with pytest.raises(InputError, match="no such topic"):
        end_offsets(options, "fresh")
    create_topic(options, "fresh", partitions=3)
    assert topic_exists(options, "fresh")
    assert end_offsets(options, "fresh") == {0: 0, 1: 0, 2: 0}
    with pytest.raises(InputError, match="already exists"):
        create_topic(options, "fresh")
    delete_topic(options, "fresh")
    assert not topic_exists(options, "fresh")


def test_wrong_options_and_an_absent_broker_are_reported(broker: str) -> None:
    with pytest.raises(InputError, match=r"foo\.bar"):
        Sender({"bootstrap.servers": broker, "foo.bar": "1"}, "any")
    with pytest.raises(SetupError, match="no Kafka broker answers"):
        Sender({"bootstrap.servers": "127.0.0.1:9"}, "any")


def test_a_killed_broker_comes_back_with_its_messages(tmp_path: Path) -> None:
    port = free_ports()
    try:
        address = kafka("start", tmp_path, port)
        assert kafka("start", tmp_path, port) == address == f"127.0.0.1:{port}"
        options = {"bootstrap.servers": address}
        messages = [Message(0.0, b"ann", b"%d" % number) for number in range(100)]
        assert send_paced(Sender(options, "kept"), messages, Pace(), clock=lambda: 0.0) == 100
        os.kill(int((tmp_path / "broker.pid").read_text()), signal.SIGKILL)
        assert kafka("start", tmp_path, port) == address
        assert [message.value for message in received(address, "kept")] == list(range(100))
    finally:
        kafka("stop", tmp_path, port)
    assert not (tmp_path / "broker.pid").exists()
