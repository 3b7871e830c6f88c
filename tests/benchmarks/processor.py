"""Processor time of processes and all that they have started, from /proc (Linux only)."""

import os
from pathlib import Path

from tests.benchmarks.memory import tree

_TICKS = os.sysconf("SC_CLK_TCK")
_MARKS = {
    "kafka.Kafka": "broker",
    "stream_service": "service, Python",
    "org.apache.spark.deploy": "service, JVM",
    "pyspark.daemon": "service, Python workers",
    "spawn_main": "sender and reader",
}


def seconds_by_program(*roots: int) -> dict[str, float]:
    """Seconds of processor time so far, summed by program; those that have ended are gone."""
    found: dict[str, float] = {}
    for pid in {pid for root in roots for pid in tree(root)}:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (OSError, ProcessLookupError):
            continue  # ended between the listing and the reading
        name = next((told for mark, told in _MARKS.items() if mark in command), "other")
        found[name] = found.get(name, 0.0) + (int(fields[11]) + int(fields[12])) / _TICKS
    return found
