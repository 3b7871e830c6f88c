"""The service: it starts its streams, watches them and stops them, in one process or in two.

Each part runs once in a home: it holds the leases of the tables it writes.
"""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from freshet.contracts import EVENTS, QUARANTINE, RECOMMENDATION_UPDATES, STREAM_METRICS, TableContract
from freshet.core.errors import StateError
from freshet.runs.job import Job
from freshet.runs.table_damage import OF_THE_SERVICE, check_tables
from freshet.service.feeds import Feed, check_feed
from freshet.service.intake_streams import EVENTS_PART, ITEMS_QUERY, started_intakes
from freshet.service.lifecycle.checkpoint import query_folder
from freshet.service.lifecycle.running import ended_together
from freshet.service.list_stream import LISTS_PART, started_lists
from freshet.tables.leases import leases

PARTS = (EVENTS_PART, LISTS_PART)
_QUERIES = {EVENTS_PART: (EVENTS_PART, ITEMS_QUERY), LISTS_PART: (LISTS_PART,)}

WRITES: dict[str, tuple[TableContract, ...]] = {
    EVENTS_PART: (EVENTS, QUARANTINE),
    LISTS_PART: (RECOMMENDATION_UPDATES,),
}
"""Tables of which a part is the only writer. Both parts append to `stream_metrics`, always without Spark: that writer
adds a commit to the log only under a number that is still free, also when another process does the same."""


def serve(
    job: Job, feed: Feed, parts: tuple[str, ...], *, stop: threading.Event, notify: Callable[[str], None]
) -> None:
    """Runs the streams of `parts` until `stop` is set, then ends each between two micro-batches.

    Raises the error that ended a stream, after stopping the others. Raises BusyError when another process runs a part
    in this home or writes one of its tables, StateError when a checkpoint was made for something else or a table is
    damaged.
    """
    check_feed(feed, parts)
    with _leased(job, parts), ended_together(within_seconds=job.settings.service.stop_seconds) as running:
        check_tables(job.home, OF_THE_SERVICE)
        for table in (STREAM_METRICS, *(table for part in parts for table in WRITES[part])):
            job.warehouse.create(table)
        # Lists first: events that the intake writes meanwhile reach them live and are not part of the hand-over.
        if LISTS_PART in parts:
            running.append(started_lists(job, feed, notify))
        if EVENTS_PART in parts:
            for query in started_intakes(job, feed, notify):
                running.append(query)  # one by one: when the second fails to start, the first is stopped
        notify("running")
        while not stop.wait(timeout=0.2):
            for one in running:
                one.raise_failure()
                if not one.query.isActive:
                    raise StateError("the stream ended by itself", where=one.name, do="Start it again")


def forget_progress(job: Job, parts: tuple[str, ...]) -> None:
    """Removes the checkpoints of `parts`, so that the next start continues from the tables: no event is lost or
    counted twice."""
    with _leased(job, parts):
        for query in (query for part in parts for query in _QUERIES[part]):
            shutil.rmtree(query_folder(job.home.checkpoints, query), ignore_errors=True)


@contextmanager
def _leased(job: Job, parts: tuple[str, ...]) -> Iterator[None]:
    with ExitStack() as stack:
        for part in sorted(parts):
            names = [table.name for table in WRITES[part]]
            stack.enter_context(leases(job.home.locks, f"stream-{part}", names))
        yield
