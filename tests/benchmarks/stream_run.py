"""A run of the service between a real broker and a reader, for the benchmarks of the stream."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from freshet.core.records import write_record
from freshet.runs.home import Home
from freshet.runs.settings import load_settings
from freshet.service.lifecycle.checkpoint import newest_number, source_offset
from freshet.service.lists.initial_histories import fill_store
from freshet.sources.kafka.topics import create_topic, end_offsets
from tests.benchmarks.stream_load import produce, read_lists
from tests.benchmarks.stream_shop import Shop, with_champion
from tests.streaming.broker import running_broker

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("FRESHET_TEST_DATA") or REPOSITORY.parent / "shared" / "data")
LOG = DATA / "taobao_userbehavior_2h" / "UserBehavior.parquet"

TOPIC, PARTITIONS = "events", 2
_STARTED_SECONDS = 3600
_BROKER_SECONDS = 4 * 3600
"""Longer than any run; a broker that is left behind ends then."""
_spawned = multiprocessing.get_context("spawn")


class Service:
    """The service with its home, its broker and its account; started and stopped as often as wished."""

    def __init__(self, home: Home, server: str, folder: Path, settings: tuple[str, ...]) -> None:
        self.home, self.server, self.folder, self._settings = home, server, folder, settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.stream_service", str(self.home.root), self.server, TOPIC]
        with (self.folder / "service.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(self.folder / "account.jsonl"), *self._settings], cwd=REPOSITORY, stdout=log, stderr=log
            )

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def check(self) -> None:
        """SystemExit when the service has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            told = (self.folder / "service.log").read_text(encoding="utf-8", errors="replace")
            raise SystemExit(f"the service ended with code {self._process.returncode}: {told[-2000:]}")

    def account(self) -> list[dict[str, Any]]:
        """All that the service's stopwatches have told so far."""
        lines = (self.folder / "account.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def wait(self, met: Callable[[list[dict[str, Any]]], bool], seconds: float = _STARTED_SECONDS) -> None:
        """Waits until the account meets a condition; SystemExit when the service ends before or does not get there."""
        end = time.monotonic() + seconds
        while not ((self.folder / "account.jsonl").exists() and met(self.account())):
            self.check()
            if time.monotonic() > end:
                raise SystemExit("the service does not get there")
            time.sleep(0.5)

    @property
    def updates(self) -> Path:
        return self.home.warehouse / "recommendation_updates"

    @property
    def broker(self) -> int:
        """The broker's process id."""
        return int((self.folder / "kafka" / "broker.pid").read_text())

    def backlog(self) -> int:
        """Records of the topic of which no list was made yet: those behind the newest offsets in the checkpoint."""
        query = self.home.checkpoints / "service" / "lists" / "query"
        newest = newest_number(query / "commits")
        read: dict[str, int] = {} if newest is None else source_offset(query, newest)[TOPIC]
        ends = end_offsets({"bootstrap.servers": self.server}, TOPIC)
        return sum(end - read.get(str(number), 0) for number, end in ends.items())


@contextmanager
def running_service(shop: Shop, folder: Path, settings: tuple[str, ...] = ()) -> Iterator[Service]:
    """The service of a shop with its past in the state and nothing to do. It and its broker end with the block."""
    if not shop.data.is_file():
        raise SystemExit(f"{shop.data} is not there: FRESHET_TEST_DATA names the folder of the real data sets")
    home = Home(folder / "home").prepare()
    with_champion(home)
    # The service looks every ten minutes for items that are new since the cut.
    began = shop.began.isoformat()
    windows = {"as_of": began, "cut": began, "validation_cut": began, "shortened": False}
    write_record(home.steps, "build", {"windows": windows})
    _hand_over(shop, home)
    with running_broker(folder / "kafka", _BROKER_SECONDS) as server:
        create_topic({"bootstrap.servers": server}, TOPIC, partitions=PARTITIONS)
        service = Service(home, server, folder, settings)
        service.start()
        try:
            service.wait(lambda account: any(entry.get("told") == "running" for entry in account))
            yield service
        finally:
            service.stop()


def rows_read(account: list[dict[str, Any]], query: str) -> int:
    """Records that the micro-batches of a query have read."""
    return sum(entry["rows"] for entry in account if entry.get("query") == query)


def _hand_over(shop: Shop, home: Home) -> None:
    """A hand-over as `freshet stream` makes it of table events, of a past that is in no table."""
    folder = home.checkpoints / "service" / "lists"
    shop.write_past(folder / "past")
    fill_store(folder, most=load_settings().interactions.max_events)
    write_record(
        folder, "handover", {"topic": TOPIC, "events_version": 0, "offsets": dict.fromkeys(range(PARTITIONS), -2)}
    )


@contextmanager
def reading(service: Service) -> Iterator[Path]:
    """A reader of the service's lists until the block ends; what it has seen is then in the file."""
    until, kept = service.folder / "enough", service.folder / "seen.parquet"
    reader = _spawned.Process(target=read_lists, args=(service.updates, until, kept))
    reader.start()
    try:
        yield kept
    finally:
        until.touch()
        reader.join()


def sending(service: Service, shop: Shop, *, rate: float | None, events: int, skipped: int = 0) -> tuple[Any, Path]:
    """A process that sends events, started, and the file that will tell what it sent when; `skipped`: events of the
    shop that were sent before."""
    kept = service.folder / f"sent-{skipped}.parquet"
    sender = _spawned.Process(
        target=produce, args=(shop, service.server, TOPIC, rate, events, kept), kwargs={"skipped": skipped}
    )
    sender.start()
    return sender, kept
