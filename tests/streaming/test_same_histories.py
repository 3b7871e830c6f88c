"""What a history is made of: the same by batch and by stream, whatever has no weight or is a machine's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from freshet.features.interactions import histories
from freshet.ranking.histories.packed_histories import KEY, NAME_BITS, TIME, WHAT, PackedHistories
from freshet.service.lists.history_events import stream_events
from freshet.service.lists.history_store import HistoryStore
from freshet.service.lists.history_updates import apply_events
from freshet.service.lists.initial_histories import make_store, opened_store
from tests.factories import event, events_frame
from tests.oracles_features import random_events
from tests.stream_rows import HISTORY_EVENTS

pytestmark = pytest.mark.streaming

MOST = 5
Entry = tuple[int, int, str, str]


def rows() -> list[dict[str, Any]]:
    """Random events of several shoppers, and one who was shown a hundred lists after the only purchase."""
    names = ["purchase", "refund", "view_item", "add_to_cart", "view_item_list", "search", "view_promotion"]
    # A session that logs in is in two histories, which others test.
    made = [{**row, "anonymous_id": None} for row in random_events(7, count=300, names=names)]
    made.append(event("purchase", user="zoe", item="bought", at="2020-03-01", event_id="z"))
    shown = [event("view_item_list", user="zoe", item=f"i{n}", at="2020-03-02", event_id=f"z{n}") for n in range(100)]
    driven = [
        event("view_item", user="zoe", item=f"i{n}", at="2020-03-03", event_id=f"b{n}", flags=["bot"])
        for n in range(100)
    ]
    only_shown = event("view_item_list", user="yan", item="i1", at="2020-03-02", event_id="y")
    return [*made, *shown, *driven, only_shown]


def entries(users: Sequence[str], found: PackedHistories) -> dict[str, list[Entry]]:
    items, names = found.items.to_pylist(), found.names.to_pylist()
    each = [
        (row[TIME], row[KEY], items[row[WHAT] >> NAME_BITS], names[row[WHAT] & (2**NAME_BITS - 1)])
        for row in found.entries.tolist()
    ]
    made, start = {}, 0
    for user, length in zip(users, found.lengths.tolist(), strict=True):
        if length:
            made[user] = each[start : start + length]
        start += length
    return made


def test_histories_of_batch_and_stream_hold_the_newest_events_that_have_a_weight(
    spark: SparkSession, tmp_path: Path
) -> None:
    events = events_frame(spark, rows())
    batch = {
        row["user_id"]: [(one["entry_key"], one["item_id"], one["event_name"]) for one in row["history"]]
        for row in histories(events, max_events=MOST, event_names=HISTORY_EVENTS).collect()
    }
    assert [entry[1:] for entry in batch["zoe"]] == [("bought", "purchase")]
    assert "yan" not in batch
    assert {name for mine in batch.values() for _, _, name in mine} == {
        "purchase", "refund", "view_item", "add_to_cart"
    }  # fmt: skip

    users = [*"abcde", "zoe", "yan"]
    make_store(events, tmp_path, event_names=HISTORY_EVENTS, most=MOST, most_per_file=100)
    past = opened_store(tmp_path, most=MOST)
    live = HistoryStore(tmp_path / "live.db", most=MOST)
    touched = apply_events(live, stream_events(events, HISTORY_EVENTS).toArrow(), 0)
    for store in (past, live):
        found = entries(users, store.histories(users))
        assert {user: [entry[1:] for entry in mine] for user, mine in found.items()} == batch
        store.close()
    # Nobody gets a list for what was only shown.
    assert "yan" not in touched.due.column("user_id").to_pylist()
