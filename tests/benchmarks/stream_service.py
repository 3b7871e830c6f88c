"""The service under measurement, in a process of its own: `freshet stream` with stopwatches around its parts.

python -m tests.benchmarks.stream_service HOME SERVER TOPIC ACCOUNT [SECTION.KEY=VALUE ...] until SIGTERM. ACCOUNT gets
a JSON line for every micro-batch of either query, by Spark's own account, and one for every call of a part.
"""

import functools
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from pyspark.sql import SparkSession
from pyspark.sql.classic.dataframe import DataFrame

from freshet.cli.opening import opened_job
from freshet.core.conf_files import conf_folder
from freshet.core.session import stream_master
from freshet.ranking import scoring
from freshet.ranking.lists import shopper_lists
from freshet.runs.service_parameters import StreamParameters
from freshet.service import intake_streams, list_stream
from freshet.service.compaction.list_merge import MergeProcess
from freshet.service.intake import event_intake as intake
from freshet.service.lifecycle.progress import ProgressListener
from freshet.service.lists import micro_batch
from freshet.service.lists.query import stream_session
from freshet.service.serving import PARTS, serve
from freshet.service.topic_feed import Topic
from freshet.tables.writers import blind_append

_WATCHED = (
    (scoring, "shopper_factors", "fold_in"),
    (scoring, "add_scaled_product", "item models"),
    (shopper_lists, "packed_block", "read_block"),
    (shopper_lists, "scored", "scoring"),
    (shopper_lists, "ranked", "best items"),
    (shopper_lists, "reasons", "reasons"),
    (MergeProcess, "run", "merge"),
    (micro_batch, "apply_events", "state"),
    (micro_batch, "lists_of", "make_lists"),
    (micro_batch, "append_arrow", "write_lists"),
    (micro_batch, "append_row", "write_figures"),
    (blind_append, "append_blind", "commit"),
    (micro_batch.ListUpdates, "__call__", "lists"),
    (intake.EventIntake, "__call__", "intake"),
    (DataFrame, "toArrow", "to_arrow"),
)
"""Functions by where the service looks them up, and what they are called in the account."""


class Account:
    """Lines of JSON: what took how long, and when it ended."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._lock = file, threading.Lock()

    def keep(self, **entry: Any) -> None:
        with self._lock:
            self._file.write(json.dumps({"at": time.time(), **entry}) + "\n")
            self._file.flush()

    def watched(self, work: Callable[..., Any], name: str) -> Callable[..., Any]:
        """`work`, with its seconds kept under a name."""

        @functools.wraps(work)
        def timed(*args: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return work(*args, **named)
            finally:
                query = threading.current_thread().name
                self.keep(part=name, seconds=time.perf_counter() - started, thread=query)

        return timed


def main() -> None:
    home, server, topic, kept, *overrides = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Path(kept).open("a", encoding="utf-8") as file:
        account = Account(file)
        for place, name, told in _WATCHED:
            if hasattr(place, name):
                setattr(place, name, account.watched(getattr(place, name), told))

        def progress(told: dict[str, Any]) -> None:
            account.keep(query=told["name"], batch=told["batchId"], rows=told["numInputRows"], parts=told["durationMs"])

        def listened(spark: SparkSession, params: StreamParameters) -> SparkSession:
            session = stream_session(spark, params)
            session.streams.addListener(ProgressListener(progress))
            return session

        for streams in (intake_streams, list_stream):
            vars(streams)["stream_session"] = listened
        mapping = Path(str(conf_folder().joinpath("sources/shop_events.toml")))
        client = {"bootstrap.servers": server}
        spark_options = {"kafka.bootstrap.servers": server}
        with opened_job(Path(home), None, tuple(overrides), stream_master("local[*]")) as job:
            serve(
                job,
                Topic(mapping, topic, spark_options, client),
                PARTS,
                stop=stop,
                notify=lambda text: account.keep(told=text),
            )


if __name__ == "__main__":
    main()
