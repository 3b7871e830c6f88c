"""A compaction's merge in a separate process of low priority, so that micro-batches get a core whenever they need one.

In the stream's own process its thread would hold the interpreter's lock while it waits for a core.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

import pyarrow as pa

from freshet.contracts import RECOMMENDATION_UPDATES, RECOMMENDATIONS
from freshet.core.errors import FreshetError, StateError
from freshet.service.compaction.list_table import LISTS_PER_FILE
from freshet.service.compaction.newest_lists import newest_lists
from freshet.tables.format.data_files import NotPlainError, live_files
from freshet.tables.writers.replacements import PartWriter

_LOWEST_PRIORITY = 19

_PARTS, _LONGEST_REST = 6.0, 300.0
"""At 1,000 events a second micro-batches took 0.37 to 0.48 s at the median during a merge without rests, 0.29 to 0.32
during one with these, 0.27 to 0.35 alone. With more than 60 s of work, some three million lists, a merge rests
five minutes in all at most, so that it ends before the next is due."""


def merge_lists(
    warehouse: Path, *, up_to: int, per_file: int = LISTS_PER_FILE, rest: Callable[[], None] = lambda: None
) -> int:
    """`recommendations` := the newest list per shopper of it and of the updates of epochs up to `up_to`, in one commit.

    Returns the number of lists. Each file holds a range of user_id. The caller holds the table's lease; both tables
    exist. Raises NotPlainError if one of them uses features beyond plain files."""
    updates = live_files(warehouse / RECOMMENDATION_UPDATES.name)
    files = live_files(warehouse / RECOMMENDATIONS.name) + [one for one in updates if one.partition["epoch"] <= up_to]
    lists = newest_lists(files, per_file=per_file, scratch=warehouse, rest=rest)
    return PartWriter(warehouse).replace(lists, contract=RECOMMENDATIONS)


class Rest:
    """Called after each piece of work, sleeps so that the process works for one part in `parts` of the time; all sleeps
    together take `longest` seconds at most."""

    def __init__(self, parts: float, longest: float) -> None:
        self._parts, self._left = parts, longest
        self._worked = time.process_time()

    def __call__(self) -> None:
        now = time.process_time()
        seconds = min((self._parts - 1) * (now - self._worked), self._left)
        self._worked, self._left = now, self._left - seconds
        time.sleep(seconds)


class MergeProcess:
    """`merge_lists` in another process, one at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._is_closed = False
        self._changing = Lock()

    def run(self, warehouse: Path, *, up_to: int, lock: int) -> int:
        """Returns the number of lists. `lock` is the open file of the table's lease, which the other process holds too:
        if this one is killed, no other process writes the table before the merge has ended.

        Raises NotPlainError as `merge_lists`, StateError with the last line of its error output if it fails otherwise.
        """
        words = [sys.executable, "-m", __name__, str(warehouse), str(up_to)]
        # Modules that this process has imported may be found only by its own path.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with self._changing:
            if self._is_closed:
                raise StateError("the stream ends")
            self._process = subprocess.Popen(
                words, pass_fds=(lock,), env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            # Set from here, so that its start has low priority too; if it has ended already, the next lines report why.
            with suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, _LOWEST_PRIORITY)
        output, complaint = self._process.communicate()
        if self._process.returncode:
            found = complaint.strip().splitlines()[-1:] or [f"exit code {self._process.returncode}"]
            raise StateError("a compaction failed", where=f"table {RECOMMENDATIONS.name}", found=found[0])
        answer = json.loads(output)
        if "lists" not in answer:
            raise NotPlainError
        return int(answer["lists"])

    def close(self) -> None:
        """Ends a running merge, which then changes nothing; the next start merges the same lists."""
        with self._changing:
            self._is_closed = True
            if self._process is not None:
                self._process.terminate()


def main() -> None:
    """The other process: WAREHOUSE EPOCH. Prints how many lists there are, or that Spark has to do it."""
    # Ctrl-C at a terminal reaches this process too; whether it continues is decided by the stream.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    warehouse, up_to = sys.argv[1:]
    try:
        print(json.dumps({"lists": merge_lists(Path(warehouse), up_to=int(up_to), rest=Rest(_PARTS, _LONGEST_REST))}))
    except NotPlainError:
        print(json.dumps({}))
    except FreshetError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
