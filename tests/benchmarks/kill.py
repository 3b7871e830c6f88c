"""SIGKILLs of the service at named points, and of the broker: what is lost, what doubled, how soon it is back.

Afterwards `events` and `quarantine` are those of one undisturbed run over the same topic, and so is every shopper's
last list, all of them made at the clock of the same closing event.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from freshet.contracts import EVENTS, QUARANTINE, RECOMMENDATION_UPDATES, RECOMMENDATIONS
from freshet.messages.sending import Sender
from freshet.messages.topics import create_topic
from freshet.registry.versions import Registry
from freshet.storage.home import Home
from freshet.storage.ledger import write_record
from tests.streaming.broker import kafka, running_broker
from tests.streaming.killed_service import CLOSED, POINTS
from tests.streaming.service import ITEMS, promoted_in, shop_artifact

REPOSITORY = Path(__file__).parents[2]
TOPIC, SEED, SHOPPERS, CHUNK = "killed", 20111209, 12, 90
PATIENCE = 240.0
FEED_SECONDS = 3.0


@dataclass
class Sent:
    """What goes into the topic, drawn by a seed: new events, events sent again, broken ones."""

    sender: Sender
    draw: random.Random
    records: int = 0
    events: int = 0

    def chunk(self) -> None:
        """The next records."""
        again: list[tuple[bytes, bytes]] = []
        for _ in range(CHUNK):
            kind = self.draw.random()
            user = f"u{self.draw.randrange(SHOPPERS)}"
            if kind < 0.1 and again:
                key, value = self.draw.choice(again)
            elif kind < 0.15:
                key, value = user.encode(), b'{"event_id": "cut of'
            else:
                key, value = user.encode(), self._event(user, "2026-02-01T10:00:00Z")
                again.append((key, value))
            self._send(key, value)
        self.sender.finish()

    def close(self) -> None:
        """One last event of every shopper, all at the same time."""
        for number in range(SHOPPERS):
            self._send(f"u{number}".encode(), self._event(f"u{number}", CLOSED))
        self.sender.finish()

    def _event(self, user: str, moment: str) -> bytes:
        self.events += 1
        return json.dumps({
            "event_id": f"e{self.events}", "event_name": "view_item", "event_time": moment, "user_id": user,
            "item_id": self.draw.choice(ITEMS),
        }).encode()  # fmt: skip

    def _send(self, key: bytes, value: bytes) -> None:
        self.sender.send(key, value)
        self.records += 1


def kill(quick: bool, kills: int | None = None, passages: int = 6, per_broker: int = 10) -> dict[str, Any]:
    """`kills` of the service and one of the broker for every `per_broker` of them; --quick: four.

    Each at one of the first `passages` times that it comes to its point: the later, the longer a run.
    lost, doubled: records that are missing from, or too many in, the tables after all of it, and lists that differ.
    """
    wished = kills or (4 if quick else 200)
    with tempfile.TemporaryDirectory(prefix="freshet-kill-") as folder:
        root = Path(folder)
        with running_broker(root / "kafka") as broker:
            return _measured(root, broker, wished, passages, per_broker)


def _measured(root: Path, broker: str, kills: int, passages: int, per_broker: int) -> dict[str, Any]:
    port = int(broker.rpartition(":")[2])
    killed, plain = Home(root / "killed").prepare(), Home(root / "plain").prepare()
    for home in (killed, plain):
        promoted_in(home, shop_artifact(), "first")
        write_record(home.steps, "recommend", {"fingerprint": "none", "policy": "next_baskets"})
    promoted_in(killed, shop_artifact(), "second")
    registry = Registry(killed.mlflow)
    create_topic({"bootstrap.servers": broker}, TOPIC)
    sent = Sent(Sender({"bootstrap.servers": broker}, TOPIC), random.Random(SEED))
    draw, restarts, at_points, brokers = random.Random(SEED + 1), list[float](), Counter[str](), 0
    for number in range(kills):
        sent.chunk()
        point = POINTS[number % len(POINTS)]
        seconds = _killed_at(killed, broker, point, draw.randint(1, passages), registry, sent)
        at_points[point] += 1
        restarts += [seconds] if seconds is not None else []
        if number % per_broker == per_broker - 1:
            brokers += 1
            os.kill(int((root / "kafka" / "broker.pid").read_text()), signal.SIGKILL)
            kafka("start", root / "kafka", port)
    registry.promote("freshet-recommender", 1)
    sent.close()
    for home in (killed, plain):
        process = _started(home, broker, "none", 0, sent.records)
        code = process.wait(timeout=PATIENCE * 4)
        assert code == 0, f"the run to the end ended with code {code}"
    # As a reader with a pencil would say: each event once, and a row of quarantine for every other record.
    assert sorted(_ids(plain)) == sorted(f"e{number + 1}" for number in range(sent.events))
    assert len(_refused(plain)) == sent.records - sent.events
    lost, doubled = _differences(killed, plain)
    return {
        "kills": sum(at_points.values()), "broker_kills": brokers, "lost": lost, "doubled": doubled,
        "records": sent.records, "restart_p50_s": _quantile(restarts, 0.5), "restart_max_s": _quantile(restarts, 1.0),
        **{f"kills_{point}": at_points[point] for point in POINTS}, "restarts_s": [round(s, 2) for s in restarts],
    }  # fmt: skip


def _killed_at(home: Home, broker: str, point: str, nth: int, registry: Registry, sent: Sent) -> float | None:
    """Runs the service until it is dead; seconds from its start to its first commit, None when it died before."""
    began, commits = time.monotonic(), _commits(home)
    process = _started(home, broker, point, 1 if point == "swap" else nth, sent.records)
    first: float | None = None
    turned, fed = False, began
    while process.poll() is None and time.monotonic() - began < PATIENCE:
        if first is None and _commits(home) > commits:
            first = time.monotonic() - began
        if point == "swap" and first is not None and not turned:
            champion = registry.champion("freshet-recommender")
            assert champion is not None
            registry.promote("freshet-recommender", 3 - champion.version)
            turned = True
            sent.chunk()
        if first is not None and time.monotonic() - fed > FEED_SECONDS:
            # Points are passed in micro-batches: without records it would stand still before its last passage.
            fed = time.monotonic()
            sent.chunk()
        time.sleep(0.2)
    if process.poll() is None:  # it did not come to its point as often: killed where it is
        os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    assert code == -signal.SIGKILL, f"ended with code {code} instead of being killed at {point}"
    return first


def _started(home: Home, broker: str, point: str, nth: int, records: int) -> "subprocess.Popen[bytes]":
    words = [str(home.root), broker, TOPIC, point, str(nth), str(records), str(SHOPPERS)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.streaming.killed_service", *words], cwd=REPOSITORY, start_new_session=True,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY / 'lib'}:{REPOSITORY}"}, stdout=sys.stderr,
    )  # fmt: skip


def _commits(home: Home) -> int:
    """Commits of the two tables that both parts write first."""
    return sum(
        1 for name in (EVENTS.name, RECOMMENDATION_UPDATES.name)
        for _ in (home.warehouse / name / "_delta_log").glob("*.json")
    )  # fmt: skip


def _differences(killed: Home, plain: Home) -> tuple[int, int]:
    """Rows that the killed home has too few and too many of, lists among them."""
    lost = doubled = 0
    for read in (_events, _refused, _lists):
        found, expected = Counter(read(killed)), Counter(read(plain))
        lost += sum((expected - found).values())
        doubled += sum((found - expected).values())
    return lost, doubled


def _rows(home: Home, name: str, but: tuple[str, ...]) -> list[str]:
    table = DeltaTable(str(home.warehouse / name)).to_pyarrow_table()
    kept = [column for column in table.column_names if column not in but]
    return [json.dumps(row, default=str, sort_keys=True) for row in table.select(kept).to_pylist()]


def _ids(home: Home) -> list[str]:
    found: list[str] = DeltaTable(str(home.warehouse / EVENTS.name)).to_pyarrow_table().column("event_id").to_pylist()
    return found


def _events(home: Home) -> list[str]:
    return _rows(home, EVENTS.name, ())


def _refused(home: Home) -> list[str]:
    return _rows(home, QUARANTINE.name, ("first_seen",))


def _lists(home: Home) -> list[str]:
    """Every shopper's newest list, once: made at the closing event's time, as all of them are at the end.

    Before a shopper's own closing event there may be others at that time, by that of another one.
    """
    found = {}
    for name in (RECOMMENDATIONS.name, RECOMMENDATION_UPDATES.name):
        if not (home.warehouse / name / "_delta_log").is_dir():
            continue
        rows = DeltaTable(str(home.warehouse / name)).to_pyarrow_table().to_pylist()
        for row in sorted(rows, key=lambda row: (row["generation"], row.get("epoch", 0), row.get("batch_id", 0))):
            if f"{row['event_clock']:%Y-%m-%dT%H:%M:%SZ}" >= CLOSED:
                items = [(item["item_id"], round(item["score"], 5)) for item in row["items"]]
                found[row["user_id"]] = json.dumps([row["user_id"], items])
    return list(found.values())


def _quantile(values: list[float], share: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else None
