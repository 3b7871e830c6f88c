"""Resident memory of a process and all that it has started, sampled from /proc while it runs (Linux only)."""

import subprocess
import threading
from pathlib import Path
from typing import NamedTuple

_EVERY_SECONDS = 0.5


class Peak(NamedTuple):
    """Highest sums over the process tree, in GB (10^9 bytes).

    `rss` counts a page once for each process that maps it, so forked workers weigh more than they take; `pss` divides
    shared pages among the processes that share them, and so counts each once.
    """

    rss: float
    pss: float


def watched(process: "subprocess.Popen[bytes]") -> Peak:
    """Waits for the process and returns the peak of its tree; its children are sampled with it."""
    done = threading.Event()
    peak = {"Rss": 0, "Pss": 0}

    def sample() -> None:
        while not done.is_set():
            now = _summed(process.pid)
            for name, size in now.items():
                peak[name] = max(peak[name], size)
            done.wait(_EVERY_SECONDS)

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    process.wait()
    done.set()
    sampler.join()
    return Peak(peak["Rss"] / 1e9, peak["Pss"] / 1e9)


def _summed(root: int) -> dict[str, int]:
    total = {"Rss": 0, "Pss": 0}
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (OSError, ProcessLookupError):
            continue  # ended between the listing and the reading
        for line in lines:
            name, _, value = line.partition(":")
            if name in total:
                total[name] += int(value.split()[0]) * 1024
    return total


def tree(root: int) -> list[int]:
    """The process, and all that it and its children have started and that runs."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses may hold spaces: fields count from behind it.
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting.extend(children.get(pid, []))
    return found
