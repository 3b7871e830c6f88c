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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from freshet.contracts import EVENTS, RECOMMENDATION_UPDATES
from freshet.core.records import write_record
from freshet.registry.versions import Registry
from freshet.runs.home import Home
from freshet.sources.kafka.sending import Sender
from freshet.sources.kafka.topics import create_topic
from tests.benchmarks.killed_homes import differences, event_ids, refused
from tests.streaming.broker import kafka, running_broker
from tests.streaming.killed_service import CLOSED, NOTE, POINTS
from tests.streaming.service import ITEMS, promoted_in, shop_artifact

REPOSITORY = Path(__file__).parents[2]
TOPIC, SEED, SHOPPERS, CHUNK = "killed", 20111209, 12, 90
PATIENCE = 240.0
FEED_SECONDS = 1.0
RESTART_SECONDS = 20.0
"""What a start may take to its first commit."""

ANYWHERE = "anywhere"
"""A moment that has nothing to do with what the service does: drawn, and killed from outside."""

ALL_POINTS = (*POINTS, ANYWHERE)
MOST_DELAY = 0.5
"""Seconds after a passage within which the service dies."""


@dataclass
class Sent:
    """What goes into the topic, drawn by a seed: new events, events sent again, broken ones."""

    sender: Sender
    draw: random.Random
    records: int = 0
    events: int = 0
    again: list[tuple[bytes, bytes]] = field(default_factory=list)

    def chunk(self) -> None:
        """The next records."""
        for _ in range(CHUNK):
            kind = self.draw.random()
            user = f"u{self.draw.randrange(SHOPPERS)}"
            if kind < 0.1 and self.again:
                key, value = self.draw.choice(self.again)
            elif kind < 0.15:
                key, value = user.encode(), b'{"event_id": "cut of'
            else:
                key, value = user.encode(), self._event(user, "2026-02-01T10:00:00Z")
                self.again.append((key, value))
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


def kill(
    quick: bool, kills: int | None = None, brokers: int | None = None, passages: int = 12, seed: int = SEED
) -> dict[str, Any]:
    """`kills` of the service, and under it `brokers` of the broker, a tenth as many if not told; --quick: five.

    Each at one of the first `passages` times that it comes to its point, or up to half a second later: the more, the
    longer a run. lost, doubled: records that are missing from, or too many in, the tables after all of it, and lists
    that differ. strays: kills that were not at the point they were meant for.
    """
    wished = kills or (len(ALL_POINTS) if quick else 200)
    with tempfile.TemporaryDirectory(prefix="freshet-kill-") as folder:
        root = Path(folder)
        with running_broker(root / "kafka") as broker:
            per_broker = wished // brokers if brokers else 10
            return _Killing(root, broker, passages, per_broker, seed).measured(wished)


class _Killing:
    """Two homes fed from one topic: in the one the service is killed, in the other it runs once, undisturbed."""

    def __init__(self, root: Path, broker: str, passages: int, per_broker: int, seed: int) -> None:
        self.root, self.broker, self.passages, self.per_broker, self.seed = root, broker, passages, per_broker, seed
        self.killed, self.plain = Home(root / "killed").prepare(), Home(root / "plain").prepare()
        for home in (self.killed, self.plain):
            promoted_in(home, shop_artifact(), "first")
            write_record(home.steps, "recommend", {"fingerprint": "none", "policy": "next_baskets"})
        promoted_in(self.killed, shop_artifact(), "second")
        self.registry = Registry(self.killed.mlflow)
        create_topic({"bootstrap.servers": broker}, TOPIC)
        self.sent = Sent(Sender({"bootstrap.servers": broker}, TOPIC), random.Random(seed))
        self.draw = random.Random(seed + 1)
        self.at_points, self.restarts, self.brokers = Counter[str](), list[float](), 0
        self.under_service, self.ended = 0, 0

    def measured(self, kills: int) -> dict[str, Any]:
        """All kills, then a run to the end in both homes, which are compared."""
        for number in range(kills):
            self.sent.chunk()
            # Once in every round, one run earlier in each: with every point in turn.
            with_broker = (number + number // self.per_broker) % self.per_broker == self.per_broker - 1
            self._kill(ALL_POINTS[number % len(ALL_POINTS)], with_broker=with_broker)
        self.registry.promote("freshet-recommender", 1)
        self.sent.close()
        for home in (self.killed, self.plain):
            code = self._started(home, "none", 0).wait(timeout=PATIENCE * 4)
            assert code == 0, f"the run to the end ended with code {code}"
        # As a reader with a pencil would say: each event once, and a row of quarantine for every other record.
        assert sorted(event_ids(self.plain)) == sorted(f"e{number + 1}" for number in range(self.sent.events))
        assert len(refused(self.plain)) == self.sent.records - self.sent.events
        lost, doubled = differences(self.killed, self.plain)
        at_points = {f"kills_{point}": self.at_points[point] for point in ALL_POINTS}
        killed = sum(at_points.values())
        return {
            "seed": self.seed, "kills": killed, "broker_kills": self.brokers,
            "broker_kills_under_service": self.under_service, "lost": lost, "doubled": doubled,
            "records": self.sent.records, "restart_p50_s": _quantile(self.restarts, 0.5),
            "restart_max_s": _quantile(self.restarts, 1.0), "restarts_measured": len(self.restarts),
            "restarts_over_20_s": sum(seconds > RESTART_SECONDS for seconds in self.restarts),
            **at_points, "strays": kills - self.ended - killed, "ended_without_broker": self.ended,
            "restarts_s": [round(s, 2) for s in self.restarts],
        }  # fmt: skip

    def _kill(self, point: str, *, with_broker: bool) -> None:
        """Runs the service until it is dead, and notes where it died and how long it took to its first commit."""
        note = self.killed.root / NOTE
        note.unlink(missing_ok=True)
        brokers, process = self.brokers, self._started(self.killed, point, self._nth(point))
        code = self._watched(process, point, with_broker=with_broker)
        if self.brokers > brokers:
            self.under_service += 1
        elif with_broker:  # the service was dead before
            self._kill_broker()
        if code != -signal.SIGKILL:
            # Without a broker a service may end by itself, to be started again.
            assert with_broker, f"ended with code {code} instead of being killed at {point}"
            self.ended += 1
        elif point == ANYWHERE or (note.is_file() and note.read_text() == point):
            self.at_points[point] += 1

    def _nth(self, point: str) -> int:
        # So often they are passed in a few micro-batches; a swap is one passage.
        most = {"reading": 1.0, "writing": 2.0, "compaction": 0.3}.get(point, 0.0) * self.passages
        return self.draw.randint(1, max(1, round(most)))

    def _watched(self, process: "subprocess.Popen[bytes]", point: str, *, with_broker: bool) -> int:
        """The exit code; killed here at a random moment, or where it does not come to its point in time."""
        began, commits = time.monotonic(), _commits(self.killed)
        end, first, fed = began + PATIENCE, 0.0, began
        while process.poll() is None and time.monotonic() < end:
            if not first and _commits(self.killed) > commits:
                first = time.monotonic()
                if commits:  # the very first start makes the tables at once
                    self.restarts.append(first - began)
                if with_broker:
                    self._kill_broker()
                if point == ANYWHERE:
                    end = time.monotonic() + self.draw.uniform(0.0, 10.0)
                if point == "swap":
                    champion = self.registry.champion("freshet-recommender")
                    assert champion is not None
                    self.registry.promote("freshet-recommender", 3 - champion.version)
                    self.sent.chunk()
            if first and time.monotonic() - fed > FEED_SECONDS:
                # Points are passed in micro-batches: without records it would stand still before its last passage.
                fed = time.monotonic()
                self.sent.chunk()
            time.sleep(0.1)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        return process.wait()

    def _kill_broker(self) -> None:
        self.brokers += 1
        os.kill(int((self.root / "kafka" / "broker.pid").read_text()), signal.SIGKILL)
        kafka("start", self.root / "kafka", int(self.broker.rpartition(":")[2]))

    def _started(self, home: Home, point: str, nth: int) -> "subprocess.Popen[bytes]":
        delay = self.draw.uniform(0.0, MOST_DELAY)
        words = [home.root, self.broker, TOPIC, point, nth, delay, self.sent.records, SHOPPERS]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.streaming.killed_service", *map(str, words)], cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": f"{REPOSITORY / 'lib'}:{REPOSITORY}"}, stdout=sys.stderr,
            start_new_session=True,
        )  # fmt: skip


def _commits(home: Home) -> int:
    """Commits of the two tables that both parts write first."""
    return sum(
        1 for name in (EVENTS.name, RECOMMENDATION_UPDATES.name)
        for _ in (home.warehouse / name / "_delta_log").glob("*.json")
    )  # fmt: skip


def _quantile(values: list[float], share: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else None
