"""Which options Spark's consumers of a topic get: those that a stream sets, and those that its user sets."""

from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from freshet.cleaning.source_columns import json_columns
from freshet.cli.stream import feed_from_options
from freshet.core.errors import InputError
from freshet.service.streams.records import kafka_records
from freshet.service.topic_feed import Topic
from freshet.sources.kafka.topics import partitions_of_topics
from tests.streaming.service import MAPPING

pytestmark = pytest.mark.streaming

BROKER = "127.0.0.1:1"


def consumer_options(records: DataFrame) -> dict[str, str]:
    """The options with which Spark will open the topic of `records`; opening asks no broker."""
    (relation,) = list(_scala_list(records._jdf.queryExecution().analyzed().collectLeaves()))  # type: ignore[operator]
    return {str(name): str(value) for name, value in dict(relation.extraOptions()).items()}


def _scala_list(values: Any) -> list[Any]:
    return [values.apply(number) for number in range(values.size())]


def records_with(spark: SparkSession, **options: str) -> DataFrame:
    return kafka_records(
        spark, json_columns(["user_id"]), topic="clicks", offsets="earliest", most_per_trigger=10,
        options={"kafka.bootstrap.servers": BROKER, **options},
    )  # fmt: skip


def test_the_broker_does_not_hold_back_its_answer_while_nothing_comes(spark: SparkSession) -> None:
    assert consumer_options(records_with(spark))["kafka.fetch.max.wait.ms"] == "5"


def test_an_option_of_the_user_wins(spark: SparkSession) -> None:
    options = consumer_options(records_with(spark, **{"kafka.fetch.max.wait.ms": "7"}))
    assert options["kafka.fetch.max.wait.ms"] == "7"
    assert options["kafka.bootstrap.servers"] == BROKER


def feed_of(*pairs: str) -> Topic:
    """The feed of a command line with these --kafka-option."""
    feed = feed_from_options(
        {"origin": BROKER, "topic": "clicks", "source": MAPPING, "pairs": pairs, "options_file": None,
         "items_topic": None},
        ("events", "lists"),
    )  # fmt: skip
    assert isinstance(feed, Topic)
    return feed


def test_the_wait_is_an_option_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshet.service.topic_feed.partitions_of_topics", lambda _: {"clicks": 2})
    assert feed_of("fetch.wait.max.ms=250").options["kafka.fetch.max.wait.ms"] == "250"
    assert "kafka.fetch.max.wait.ms" not in feed_of().options


def test_a_wait_that_is_no_number_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"Kafka refuses this.*fetch\.wait\.max\.ms"):
        partitions_of_topics({"bootstrap.servers": BROKER, "fetch.wait.max.ms": "soon"})
