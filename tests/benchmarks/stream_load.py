"""The two ends of the stream, each in a process of its own: events into Kafka at a pace, and a reader of lists."""

import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.sources.kafka.sending import Pace, Sender, send_paced
from tests.benchmarks.stream_shop import Shop

_POLL_SECONDS = 0.01


def produce(
    shop: Shop, server: str, topic: str, rate: float | None, events: int, kept: Path, *, skipped: int = 0
) -> None:
    """Sends `events` events at `rate` a second, those behind the first `skipped` of the shop.

    `kept` holds (user_id, received) of each, received in microseconds.

    The time of receipt is that of sending: it stands in the event and comes back with the list that it causes.
    """
    users: list[bytes] = []
    moments: list[int] = []

    def stamped(value: bytes) -> bytes:
        micros = time.time_ns() // 1000
        moments.append(micros)
        text = str(np.datetime64(micros, "us"))
        return value[:-1] + b',"received_time":"' + text.encode() + b'Z"}'

    sender = Sender({"bootstrap.servers": server}, topic)
    mine = islice(shop.messages(), skipped, skipped + events)
    send_paced(
        sender, mine, Pace(rate=rate), clock=time.monotonic, stamped=stamped,
        notify=lambda _, message: users.append(message.key),
    )  # fmt: skip
    table = pa.table({"user_id": pa.array(users, pa.binary()).cast(pa.string()), "received": pa.array(moments)})
    pq.write_table(table, kept)


def read_lists(table: Path, until: Path, kept: Path) -> None:
    """Polls the table as a shop's reader would: `kept` holds (user_id, caused, seen) of each list, microseconds.

    A list is seen when its row has been read. Ends when `until` exists and there is nothing more.
    """
    found = []
    for rows in _appended(table, until):
        seen = time.time_ns() // 1000
        caused = rows.column("caused_by_received_time").cast(pa.timestamp("us")).cast(pa.int64())
        found.append(pa.table({"user_id": rows.column("user_id"), "caused": caused, "seen": np.full(len(rows), seen)}))
    pq.write_table(pa.concat_tables(found) if found else pa.table({"user_id": [], "caused": [], "seen": []}), kept)


def _appended(table: Path, until: Path) -> Iterator[pa.Table]:
    """The rows that each commit adds. Commits that only move rows add none."""
    version = _newest(table) + 1
    while True:
        commit = table / "_delta_log" / f"{version:020d}.json"
        if not commit.exists():
            if until.exists():
                return
            time.sleep(_POLL_SECONDS)
            continue
        version += 1
        for line in commit.read_text(encoding="utf-8").splitlines():
            added: dict[str, Any] = json.loads(line).get("add", {})
            if added.get("dataChange"):
                yield pq.read_table(table / added["path"], columns=["user_id", "caused_by_received_time"])


def _newest(table: Path) -> int:
    return max((int(path.stem) for path in (table / "_delta_log").glob("*.json")), default=-1)


def seconds_to_list(sent: pa.Table, lists: pa.Table) -> NDArray[np.float64]:
    """Per event the seconds from its sending to the first list of its shopper caused by it or a newer one.

    Infinity where there was none.
    """
    keys = {user: number for number, user in enumerate(sent.column("user_id").unique().to_pylist())}
    wanted = np.array([keys[user] for user in sent.column("user_id").to_pylist()], dtype=np.int64)
    # A reader may find shoppers whose events were sent before it looked.
    owner = np.array([keys.get(user, -1) for user in lists.column("user_id").to_pylist()], dtype=np.int64)
    caused, seen = lists.column("caused").to_numpy(), lists.column("seen").to_numpy()
    received = sent.column("received").to_numpy()
    order = np.lexsort((caused, owner))
    owner, caused, seen = owner[order], caused[order], seen[order]
    # One number for both: microseconds of twelve days take 40 bits, which leaves room for eight million shoppers.
    start = received.min() if len(received) else 0
    place = np.searchsorted((owner << 40) + np.maximum(caused - start, 0), (wanted << 40) + received - start)
    inside = np.minimum(place, max(len(owner) - 1, 0))
    hit = (place < len(owner)) & (owner[inside] == wanted) if len(owner) else np.zeros(len(wanted), dtype=bool)
    return np.where(hit, (seen[inside] - received) / 1e6 if len(owner) else 0.0, np.inf)
