"""The histories with which a stream starts: all earlier events, added to its store once."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts.identity import with_joined_sessions
from freshet.service.lists.history_events import stream_events
from freshet.service.lists.history_store import HistoryStore
from freshet.service.lists.history_updates import load_history

HISTORIES = "histories.db"
"""The file of the store, in the folder of a checkpoint."""


def make_store(events: DataFrame, folder: Path, *, event_names: Sequence[str], most: int, most_per_file: int) -> None:
    """Makes a store of the histories in `events` (contract EVENTS) in `folder`, completely or not at all; replaces
    another.

    Histories consist of `event_names` (features.interactions) only, the newest `most` of each shopper. Shoppers are
    divided among files of about `most_per_file` events, each of which is in memory as a whole.
    """
    past = folder / "past"
    shutil.rmtree(past, ignore_errors=True)
    rows = stream_events(with_joined_sessions(events), event_names)
    # All events of a shopper are in one file, so that they are merged once.
    files = max(1, -(-events.count() // most_per_file))
    rows.repartition(files, F.col("user_id")).write.parquet(str(past))
    fill_store(folder, most=most)


def fill_store(folder: Path, *, most: int) -> None:
    """Makes a store in `folder` from the Parquet files of STREAM_EVENT rows in its folder `past`, which is removed."""
    past, target = folder / "past", folder / HISTORIES
    part = target.with_suffix(".part")
    for leftover in (target, part):
        for ending in ("", "-wal", "-shm"):
            leftover.with_name(leftover.name + ending).unlink(missing_ok=True)
    store = HistoryStore(part, most=most)
    for file in sorted(past.glob("*.parquet")):
        load_history(store, pq.read_table(file))
    store.close()
    part.rename(target)
    shutil.rmtree(past)


def opened_store(folder: Path, *, most: int) -> HistoryStore:
    """Opens the store that `make_store` made in `folder`."""
    return HistoryStore(folder / HISTORIES, most=most)
