"""Rows of a stream of lists without Spark, for tests of the store of histories."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from freshet.contracts.shoppers import ANONYMOUS_PREFIX
from freshet.runs.settings import load_settings

HISTORY_EVENTS = load_settings().interactions.event_names
"""The events that the histories of a shop with the settings of conf/base.toml are made of."""

TIME_TYPE = pa.timestamp("us", tz="UTC")

STREAM_ROWS = pa.schema(
    [
        ("user_id", pa.string()), ("session", pa.string()), ("event_time", TIME_TYPE), ("received_time", TIME_TYPE),
        ("entry_key", pa.int64()), ("order_key", pa.int64()), ("item_id", pa.string()), ("event_name", pa.string()),
    ]
)  # fmt: skip


def entry(
    *, user: str | None = None, device: str | None = None, item: str | None, at: int, key: int, name: str = "view_item"
) -> dict[str, Any]:
    """An event at a microsecond; with both a user and a device it is a login."""
    anonymous = None if device is None else f"{ANONYMOUS_PREFIX}{device}"
    return {
        "user_id": user or anonymous, "session": anonymous if user else None, "event_time": at, "received_time": at,
        "entry_key": key, "order_key": key, "item_id": item, "event_name": name,
    }  # fmt: skip


def stream_rows(entries: Sequence[dict[str, Any]]) -> pa.Table:
    """The rows as Spark hands them over."""
    return pa.Table.from_pylist(list(entries), schema=STREAM_ROWS)
