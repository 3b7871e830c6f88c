"""Real processes on a real broker, killed at seeded moments: no event is lost, none doubled."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys

import pytest
from deltalake import DeltaTable

from freshet.contracts import EVENTS, QUARANTINE, STREAM_METRICS
from freshet.messages.sending import Sender
from freshet.messages.topics import create_topic
from freshet.storage.home import Home
from freshet.storage.tables import Warehouse
from tests.conftest import REPOSITORY
from tests.streaming.killed_intake import PER_BATCH

pytestmark = [pytest.mark.streaming, pytest.mark.cluster]

SEED, RECORDS, KILLS = 20111209, 320, 4
POINTS = 6
"""Of a micro-batch: before and after each of its three writes."""


def records(seed: int) -> list[tuple[bytes, bytes]]:
    """(key, value) of messages: new events, events sent again soon and late, and broken ones."""
    source, sent, made = random.Random(seed), [], 0
    for _ in range(RECORDS):
        kind = source.random()
        if kind < 0.1 and sent:
            sent.append(source.choice(sent))
        elif kind < 0.15:
            sent.append((b"u1", b'{"event_id": "cut of'))
        else:
            made += 1
            user = f"u{source.randrange(9)}"
            row = {"event_id": f"e{made}", "event_name": "view_item", "event_time": "2026-02-01T10:00:00Z",
                   "user_id": user, "item_id": f"i{source.randrange(50)}"}  # fmt: skip
            sent.append((user.encode(), json.dumps(row).encode()))
    return sent


def expected(sent: list[tuple[bytes, bytes]]) -> tuple[list[str], dict[str, int]]:
    """Event ids that become events, and refused records by reason: what a reader with a pencil would say."""
    seen: set[str] = set()
    reasons = {"broken_record": 0, "resent": 0}
    for _, value in sent:
        try:
            event_id = json.loads(value)["event_id"]
        except json.JSONDecodeError:
            reasons["broken_record"] += 1
            continue
        reasons["resent"] += event_id in seen
        seen.add(event_id)
    return sorted(seen), reasons


def run(home: Home, broker: str, topic: str, moment_of_death: int) -> int:
    """The exit code of a process that takes the topic in, or is killed at a moment."""
    words = [sys.executable, "-m", "tests.streaming.killed_intake", str(home.root), broker, topic, str(moment_of_death)]
    done = subprocess.run(
        words, cwd=REPOSITORY, capture_output=True, text=True, start_new_session=True, timeout=240, check=False,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY / 'lib'}:{REPOSITORY}"},
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
    return done.returncode


def test_an_intake_that_is_killed_anywhere_ends_with_every_record_once(
    broker: str, warehouse: Warehouse, home: Home
) -> None:
    sent = records(SEED)
    create_topic({"bootstrap.servers": broker}, "killed")
    sender = Sender({"bootstrap.servers": broker}, "killed")
    for key, value in sent:
        sender.send(key, value)
    sender.finish()
    for contract in (EVENTS, QUARANTINE, STREAM_METRICS):
        warehouse.create(contract)
    moments = random.Random(SEED + 1)
    kills = [run(home, broker, "killed", moments.randint(1, 2 * POINTS)) for _ in range(KILLS)]
    assert kills == [-signal.SIGKILL] * KILLS
    shutil.rmtree(home.checkpoints / "q")  # and the checkpoint lost on top of it
    assert run(home, broker, "killed", 0) == 0
    events = DeltaTable(warehouse.path(EVENTS)).to_pyarrow_table()
    refused = DeltaTable(warehouse.path(QUARANTINE)).to_pyarrow_table()
    ids, reasons = expected(sent)
    assert sorted(events.column("event_id").to_pylist()) == ids
    assert {reason: refused.column("reason_code").to_pylist().count(reason) for reason in reasons} == reasons
    places = [
        (row["source_partition"], row["source_offset"])
        for table in (events, refused)
        for row in table.select(["source_partition", "source_offset"]).to_pylist()
    ]
    assert len(places) == len(set(places)) == RECORDS
    assert RECORDS > 4 * PER_BATCH
