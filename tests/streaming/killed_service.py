"""The service as a process that kills itself, with its JVM, at the nth passage of a named point; or runs to an end."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

import freshet.service.compaction.compaction as compaction
import freshet.service.intake.event_intake as intake
import freshet.service.list_stream as list_stream
import freshet.service.lists.micro_batch as micro_batch
import freshet.service.serving as service
from freshet.cli.opening import opened_job
from freshet.contracts import EVENTS, QUARANTINE, RECOMMENDATION_UPDATES, RECOMMENDATIONS
from freshet.runs.home import Home
from freshet.service.lifecycle.checkpoint import newest_number, source_offset
from freshet.service.topic_feed import Topic
from tests.streaming.service import MAPPING, QUICK

POINTS = ("reading", "writing", "compaction", "swap")

OVERRIDES = (
    *QUICK, "service.most_intake_events=60", "service.most_list_events=60", "compaction.every_minutes=0.02",
    "compaction.pack_from_files=6", "compaction.vacuum_hours=0", "service.item_refresh_minutes=0",
    "compaction.tidy_minutes=0.05",
)  # fmt: skip

NOTE = "killed-at"
"""File of a home that holds the point at which its service killed itself."""

CLOSED = "2026-03-01T00:00:00Z"
"""Time of every shopper's last event: all last lists are made at one event clock."""


class Deadly:
    """Ends the process group `delay` seconds after the nth passage of `point`, and notes in `note` that it does."""

    def __init__(self, point: str, nth: int, *, delay: float, note: Path) -> None:
        self.point, self.left, self.delay, self.note = point, nth, delay, note
        self._lock = threading.Lock()

    def passed(self, point: str) -> None:
        """Counts a passage. Meanwhile the work goes on: it dies wherever it then is."""
        with self._lock:
            if point == self.point:
                self.left -= 1
                if self.left == 0:
                    threading.Timer(self.delay, self._kill).start()

    def _kill(self) -> None:
        self.note.write_text(self.point)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def around(self, module: Any, name: str, point: str) -> None:
        """Marks the moments before and after a function as passages."""
        work: Callable[..., Any] = getattr(module, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            self.passed(point)
            result = work(*arguments, **options)
            self.passed(point)
            return result

        setattr(module, name, watched)


def armed(deadly: Deadly) -> None:
    """Every named point, in the modules that pass it."""
    deadly.around(intake, "verdicts", "reading")
    deadly.around(intake.EventIntake, "_repeats", "reading")
    deadly.around(micro_batch.ListUpdates, "_newest_written", "reading")
    # Between the histories and the lists of a micro-batch, between its lists and its figures, and so on.
    for module, name in ((intake, "append_arrow"), (micro_batch, "apply_events"), (micro_batch, "append_arrow"),
                         (intake, "append_row"), (micro_batch, "append_row")):  # fmt: skip
        deadly.around(module, name, "writing")
    deadly.around(compaction.MergeProcess, "run", "compaction")
    deadly.around(compaction.operations, "drop_partitions", "compaction")
    lookup, last = list_stream.champion, list[str]()

    def champion(*arguments: Any) -> Any:
        version = lookup(*arguments)
        if last and last[-1] != version.model_version:
            deadly.passed("swap")
        last.append(version.model_version)
        return version

    list_stream.champion = champion


def listed_records(home: Path) -> int:
    """Records of the topic of which the lists' query has seen to every one, by its newest finished micro-batch."""
    query = Home(home).checkpoints / "service" / "lists" / "query"
    newest = newest_number(query / "commits")
    return 0 if newest is None else sum(sum(ends.values()) for ends in source_offset(query, newest).values())


def is_finished(warehouse: Path, records: int, shoppers: int) -> bool:
    """Whether every record is in a table and behind the lists, and every shopper has one of the closing time."""

    def rows(name: str, column: str) -> list[Any]:
        path = warehouse / name
        if not (path / "_delta_log").is_dir():
            return []
        return DeltaTable(str(path)).to_pyarrow_table(columns=[column]).column(column).to_pylist()

    taken = len(rows(EVENTS.name, "source_offset")) + len(rows(QUARANTINE.name, "source_offset"))
    if min(taken, listed_records(warehouse.parent)) < records:
        return False
    closed = set()
    for name in (RECOMMENDATION_UPDATES.name, RECOMMENDATIONS.name):
        path = warehouse / name
        if (path / "_delta_log").is_dir():
            lists = DeltaTable(str(path)).to_pyarrow_table(columns=["user_id", "event_clock"]).to_pylist()
            closed |= {row["user_id"] for row in lists if f"{row['event_clock']:%Y-%m-%dT%H:%M:%SZ}" >= CLOSED}
    return len(closed) >= shoppers


def main(root: Path, servers: str, topic: str, point: str, nth: int, delay: float, records: int, shoppers: int) -> None:
    armed(Deadly(point, nth, delay=delay, note=root / NOTE))
    feed = Topic(MAPPING, topic, {"kafka.bootstrap.servers": servers}, {"bootstrap.servers": servers})
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def watch() -> None:
        while not stop.wait(1.0):
            if point == "none" and is_finished(Home(root).warehouse, records, shoppers):
                stop.set()

    threading.Thread(target=watch, daemon=True).start()
    with opened_job(root, "test", OVERRIDES, "local[2]", needs_mlflow=True) as job:
        service.serve(job, feed, service.PARTS, stop=stop, notify=lambda text: None)


if __name__ == "__main__":
    home, *names, nth, delay, records, shoppers = sys.argv[1:]
    main(Path(home), *names, int(nth), float(delay), int(records), int(shoppers))  # type: ignore[call-arg]
