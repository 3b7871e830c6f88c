"""The rule of what list is newest, on a few rows, against its SQL; a list that a compaction has copied counts once."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from freshet.cli.show import _lists
from freshet.contracts import RECOMMENDATION_UPDATES, RECOMMENDATIONS
from freshet.service.compaction.newest_lists import _ROWS, newest_of
from freshet.service.lists.latest import BATCH_VALUES, LATEST_RECOMMENDATIONS, lists_newest_first
from freshet.tables.small_writes import arrow_schema

pytestmark = pytest.mark.unit

START = datetime(2020, 1, 1, tzinfo=UTC)
UPDATE_COLUMNS = ("query_id", "batch_id", "epoch", "caused_by_event_time", "caused_by_received_time")


def row(item: str, *, generation: int = 1, day: int = 0, source: str = "batch", **update: Any) -> dict[str, Any]:
    moment = START + timedelta(days=day)
    items = [{"position": 1, "item_id": item, "score": 1.0, "reason": "taste"}]
    listed = {"user_id": "ann", "generated_at": moment, "event_clock": moment, "generation": generation,
              "model_version": f"{generation}.0", "source": source, "items": items}  # fmt: skip
    return listed | update


def update(item: str, *, epoch: int = 0, query: str = "q", batch: int = 0, **other: Any) -> dict[str, Any]:
    caused = dict.fromkeys(UPDATE_COLUMNS[3:], START)
    return row(item, source="stream", epoch=epoch, query_id=query, batch_id=batch, **other) | caused


def compacted(update: dict[str, Any]) -> dict[str, Any]:
    """As a compaction copies it to `recommendations`."""
    return {name: value for name, value in update.items() if name not in UPDATE_COLUMNS}


def firsts(lists: list[dict[str, Any]]) -> list[str]:
    return [one["items"][0]["item_id"] for one in lists]


def test_lists_come_newest_first_by_every_part_of_the_rule() -> None:
    newest_first = [
        update("epoch", generation=2, epoch=2),
        update("query", generation=2, epoch=1, query="r"),
        update("batch 10", generation=2, epoch=1, batch=10),
        update("batch 9", generation=2, epoch=1, batch=9),
    ]
    older = [update("old model, later clock", generation=1, day=9), update("earlier clock", generation=1, day=8)]
    batch = [row("batch", generation=2)]
    for updates in permutations(newest_first + older, 6):
        found = firsts(lists_newest_first(batch, list(updates)))
        assert found == ["epoch", "query", "batch 10", "batch 9", "batch", "old model, later clock", "earlier clock"]


@pytest.mark.parametrize("dropped", [0, 1])
def test_a_compaction_changes_neither_the_list_now_nor_the_one_before(dropped: int) -> None:
    updates = [update("first", day=1, batch=1), update("second", day=2, batch=2)]
    before = firsts(lists_newest_first([row("batch")], updates))
    after = firsts(lists_newest_first([compacted(updates[1])], updates[dropped:]))
    assert before == ["second", "first", "batch"]
    assert after == ["second", "first"][: 2 - dropped]


def test_show_takes_the_copy_of_a_compaction_for_the_same_list(tmp_path: Path) -> None:
    updates = [update("first", day=1, batch=1), update("second", day=2, batch=2)]
    for contract, rows in ((RECOMMENDATIONS, [compacted(updates[1])]), (RECOMMENDATION_UPDATES, updates)):
        write_deltalake(tmp_path / contract.name, pa.Table.from_pylist(rows, schema=arrow_schema(contract)))
    assert firsts(_lists(tmp_path, "ann")) == ["second", "first"]


PLACES = st.tuples(st.integers(1, 2), st.integers(0, 1), st.integers(0, 1), st.sampled_from(["p", "q"]),
                   st.integers(8, 11))  # fmt: skip


@given(st.sets(PLACES, min_size=1, max_size=6), st.tuples(st.integers(1, 2), st.integers(0, 1)))
def test_rows_arrow_and_sql_find_the_same_newest_list(
    places: set[tuple[int, int, int, str, int]], of_batch: tuple[int, int]
) -> None:
    updates = [
        update(f"{generation} {day} {epoch} {query} {number}", generation=generation, day=day, epoch=epoch,
               query=query, batch=number)
        for generation, day, epoch, query, number in sorted(places)
    ]  # fmt: skip
    batch = [row("batch", generation=of_batch[0], day=of_batch[1])]
    found = lists_newest_first(batch, updates)
    with duckdb.connect() as connection:
        connection.register("recommendations", pa.Table.from_pylist(batch, schema=arrow_schema(RECOMMENDATIONS)))
        rows = pa.Table.from_pylist(updates, schema=arrow_schema(RECOMMENDATION_UPDATES))
        connection.register("recommendation_updates", rows)
        by_sql = connection.sql(LATEST_RECOMMENDATIONS).to_arrow_table().to_pylist()
    columns = [[{**BATCH_VALUES, **one}.get(name) for one in found] for name in _ROWS.names]
    by_arrow = newest_of(pa.table(columns, schema=_ROWS)).to_pylist()
    assert firsts(found)[:1] == firsts(by_sql) == firsts(by_arrow)
