"""What is in two homes, row by row: events, refused records, and the list that a reader sees of every shopper."""

import json
from collections import Counter

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql.pandas.types import to_arrow_schema

from freshet.contracts import EVENTS, QUARANTINE, RECOMMENDATION_UPDATES, RECOMMENDATIONS
from freshet.runs.home import Home
from freshet.service.lists.latest import LATEST_RECOMMENDATIONS
from freshet.tables.format.arrow_reading import arrow_dataset


def differences(killed: Home, plain: Home) -> tuple[int, int]:
    """Rows that the killed home has too few and too many of, lists among them."""
    lost = doubled = 0
    for read in (events, refused, lists):
        found, expected = Counter(read(killed)), Counter(read(plain))
        lost += sum((expected - found).values())
        doubled += sum((found - expected).values())
    return lost, doubled


def event_ids(home: Home) -> list[str]:
    """Of all rows of `events`."""
    found: list[str] = _table(home, EVENTS.name).column("event_id").to_pylist()
    return found


def events(home: Home) -> list[str]:
    """All rows as texts."""
    return _rows(home, EVENTS.name, ())


def refused(home: Home) -> list[str]:
    """All rows of `quarantine` as texts, but for when a record was first seen."""
    return _rows(home, QUARANTINE.name, ("first_seen",))


def lists(home: Home) -> list[str]:
    """What a reader gets of every shopper: the time behind the list, its items and scores."""
    with duckdb.connect() as connection:
        for contract in (RECOMMENDATIONS, RECOMMENDATION_UPDATES):
            path = home.warehouse / contract.name
            # Before the first compaction there is no list of the batch.
            none = to_arrow_schema(contract.schema, timezone="UTC").empty_table()
            connection.register(contract.name, _table(home, contract.name) if path.is_dir() else none)
        rows = connection.sql(LATEST_RECOMMENDATIONS).to_arrow_table().to_pylist()
    return [
        json.dumps([row["user_id"], f"{row['event_clock']:%Y-%m-%dT%H:%M:%SZ}",
                    [(item["item_id"], round(item["score"], 5)) for item in row["items"]]])
        for row in rows
    ]  # fmt: skip


def _table(home: Home, name: str) -> pa.Table:
    path = home.warehouse / name
    return arrow_dataset(DeltaTable(path), path).to_table()


def _rows(home: Home, name: str, but: tuple[str, ...]) -> list[str]:
    table = _table(home, name)
    kept = [column for column in table.column_names if column not in but]
    return [json.dumps(row, default=str, sort_keys=True) for row in table.select(kept).to_pylist()]
