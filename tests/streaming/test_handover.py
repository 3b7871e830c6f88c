"""Lists straight from a topic: the history comes from the tables, nothing is missed or counted twice between them."""

import json
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from freshet.cleaning.source_columns import event_columns
from freshet.contracts import EVENTS, QUARANTINE, RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.core.conf_files import conf_folder
from freshet.core.errors import StateError
from freshet.runs.home import Home
from freshet.runs.settings import load_settings
from freshet.service.intake.arrivals import arrivals
from freshet.service.lists.handover import (
    Handover,
    in_order,
    live_events,
    next_offsets,
    starting_offsets,
    topic_handover,
)
from freshet.service.lists.initial_histories import make_store, opened_store
from freshet.service.lists.query import run_to_end, stream_session
from freshet.service.streams.records import kafka_records
from freshet.sources.kafka.sending import Sender
from freshet.sources.kafka.topics import create_topic
from freshet.sources.mapping import read_mapping
from freshet.tables.warehouse import Warehouse
from tests.factories import Row, event, events_frame, frame
from tests.stream_rows import HISTORY_EVENTS
from tests.streaming.scenario import list_updates, lists_of, newest_items, parameters

pytestmark = [pytest.mark.streaming, pytest.mark.delta]

TOPIC = "clicks"


def stored(number: int, *, user: str, partition: int, offset: int, source: str = "shop_events") -> Row:
    return event(
        name="view_item", user=user, item=f"i{number}", at=f"2026-02-01 10:{number:02}", event_id=f"e{number}",
        source=source, source_partition=f"{TOPIC}-{partition}", source_offset=offset,
    )  # fmt: skip


def keep_history(events: DataFrame, folder: Path) -> None:
    make_store(events, folder, event_names=HISTORY_EVENTS, most=10, most_per_file=2)


def test_offsets_go_on_behind_the_last_event_of_each_partition_of_the_topic(spark: SparkSession) -> None:
    rows = [
        stored(1, user="ann", partition=0, offset=4), stored(2, user="bob", partition=0, offset=2),
        stored(3, user="ann", partition=1, offset=0), stored(4, user="ann", partition=2, offset=9, source="other"),
        {**stored(5, user="ann", partition=0, offset=99), "source_partition": f"{TOPIC}-x-0"},
    ]  # fmt: skip
    events = events_frame(spark, rows)
    assert next_offsets(events, source="shop_events", topic=TOPIC, partitions=3) == {0: 5, 1: 1, 2: -2}
    empty = events.where(F.lit(False))
    assert next_offsets(empty, source="shop_events", topic=TOPIC, partitions=1) == {0: -2}


def test_events_that_were_refused_at_first_say_nothing_of_the_records_before_them(
    spark: SparkSession, warehouse: Warehouse
) -> None:
    rows = [stored(1, user="ann", partition=0, offset=4), stored(2, user="bob", partition=0, offset=9)]
    events = events_frame(spark, rows)
    assert in_order(warehouse, events).count() == 2
    mended = {"source": "shop_events", "source_partition": f"{TOPIC}-0", "source_offset": 9, "status": "replayed"}
    elsewhere = {**mended, "source": "other", "source_offset": 4}
    warehouse.replace(frame(spark, QUARANTINE, [mended, elsewhere]), QUARANTINE)
    found = next_offsets(in_order(warehouse, events), source="shop_events", topic=TOPIC, partitions=1)
    assert found == {0: 5}


def test_a_hand_over_is_made_once_and_guards_its_topic(spark: SparkSession, warehouse: Warehouse, home: Home) -> None:
    warehouse.replace(events_frame(spark, [stored(1, user="ann", partition=0, offset=0)]), EVENTS)
    folder = home.checkpoints / "lists"
    folder.mkdir()

    def hand(topic: str = TOPIC, partitions: int = 2) -> Handover:
        return topic_handover(
            warehouse, folder, source="shop_events", topic=topic, partitions=partitions, keep_history=keep_history
        )

    first = hand()
    assert (first.events_version, first.offsets) == (warehouse.version(EVENTS), {0: 1, 1: -2})
    warehouse.append(events_frame(spark, [stored(2, user="ann", partition=0, offset=1)]), EVENTS)
    assert hand() == first
    assert hand(partitions=3) == first
    with pytest.raises(StateError, match="another topic"):
        hand(topic="other")
    with pytest.raises(StateError, match="2 partitions or more"):
        hand(partitions=1)


@pytest.mark.cluster
def test_history_and_topic_together_give_each_event_once(
    spark: SparkSession, warehouse: Warehouse, home: Home, broker: str
) -> None:
    client = {"bootstrap.servers": broker}
    create_topic(client, TOPIC, partitions=1)
    shoppers = ["ann", "bob", "ann", "cat", "ann", "bob"]
    messages = [(user, number) for number, user in enumerate(shoppers)]

    def send(some: list[tuple[str, int]]) -> None:
        sender = Sender(client, TOPIC)
        for user, number in some:
            row = {"event_id": f"e{number}", "event_name": "view_item", "event_time": f"2026-02-01T10:{number:02}:00Z",
                   "user_id": user, "item_id": f"i{number}"}  # fmt: skip
            sender.send(user.encode(), json.dumps(row).encode())
        sender.finish()

    send(messages[:5])
    # The intake has taken in three records when the lists begin.
    known = [stored(n, user=user, partition=0, offset=n) for user, n in messages[:3]]
    warehouse.replace(events_frame(spark, known), EVENTS)
    for contract in (RECOMMENDATION_UPDATES, STREAM_METRICS):
        warehouse.create(contract)
    mapping = read_mapping(conf_folder().joinpath("sources/shop_events.toml"))
    folder = home.checkpoints / "lists"
    folder.mkdir()

    def keep_fresh() -> None:
        hand = topic_handover(
            warehouse, folder, source=mapping.name, topic=TOPIC, partitions=1, keep_history=keep_history
        )
        session = stream_session(spark, parameters())
        raw = kafka_records(
            session, event_columns(mapping), topic=TOPIC, offsets=starting_offsets(hand.topic, hand.offsets),
            most_per_trigger=100, options={"kafka.bootstrap.servers": broker},
        )  # fmt: skip
        live = live_events(arrivals(raw, mapping, load_settings().cleaning), HISTORY_EVENTS)
        store = opened_store(folder, most=10)
        run_to_end(live, list_updates(warehouse.folder, "q", store), checkpoint=folder / "query")
        store.close()

    keep_fresh()
    lists = newest_items(lists_of(warehouse, "q"))
    # Bob did nothing since the hand-over: his list is the batch's.
    assert lists == {"ann": ["i4", "i2", "i0"], "cat": ["i3"]}
    send(messages[5:])
    warehouse.append(events_frame(spark, [stored(3, user="cat", partition=0, offset=3)]), EVENTS)
    keep_fresh()
    assert newest_items(lists_of(warehouse, "q")) == {"ann": ["i4", "i2", "i0"], "cat": ["i3"], "bob": ["i5", "i1"]}
