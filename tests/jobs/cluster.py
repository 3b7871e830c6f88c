"""A standalone cluster for tests: jobs submitted to it, and what of two homes' tables has to be the same."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from freshet.cli.errors import UNEXPECTED
from freshet.contracts import TABLES
from freshet.core.session import local_classes
from tests.conftest import QUICK_JAVA, REPOSITORY

COMPARED = (
    "events", "quarantine", "quality_metrics", "items_history", "interactions", "user_features", "item_features",
    "model_decisions", "recommendations", "recommendation_updates", "stream_metrics", "similar_items", "popular_items",
    "user_segments", "segment_profiles", "evaluation_results",
)  # fmt: skip
"""What the main job writes, but for user_factors and item_factors: their last digits may follow from how rows are
spread, and with them the signs of whole axes. Lists, which are made of them, are compared. Everybody buys in every
month of the small shop, so the gate refuses the probability model and there are no user_scores."""

OF_THE_HOME = {
    "generated_at", "finished_at", "seconds", "checked_at", "first_seen", "decided_at", "run_id", "query_id", "reasons",
}  # fmt: skip
"""Wall times, and what follows from versions of tables, of which a killed run has more. The reasons of a decision hold
its figures, which are compared, rounded: a last digit may turn the one that is shown."""

_QUICK = f"{QUICK_JAVA} -XX:+UseSerialGC"
"""Jobs on a few rows spend their time in compiling."""


@contextmanager
def cluster() -> Iterator[str]:
    """The master of a cluster on a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "FRESHET_CLUSTER_PORT": str(port), "FRESHET_CLUSTER_SECONDS": "900"}
    script = REPOSITORY / "scripts/cluster.sh"
    started = subprocess.run([script, "start"], env=environment, capture_output=True, text=True, check=False)
    assert started.returncode == 0, started.stderr
    yield started.stdout.strip()
    subprocess.run([script, "stop"], check=True)


def submitted(master: str, job: str, *arguments: str) -> str:
    """What the job printed."""
    done = subprocess.run(
        [REPOSITORY / "scripts/submit.sh", job, "--master", master, *_quick_start(), *arguments],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    log = re.search(r"the details are in (.*)", done.stderr) if done.returncode == UNEXPECTED else None
    trace = Path(log.group(1)).read_text(encoding="utf-8") if log is not None else ""
    assert done.returncode == 0, done.stdout + done.stderr + trace
    return done.stdout


def _quick_start() -> list[str]:
    """Options of spark-submit by which driver and executors, on this machine, load classes as local sessions do."""
    driver = local_classes(REPOSITORY / ".jars", _QUICK)
    executor = {name.replace(".driver.", ".executor."): value for name, value in driver.items()}
    return [part for name, value in (driver | executor).items() for part in ("--conf", f"{name}={value}")]


def rows_of(home: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a table, in any order."""
    rows: list[dict[str, Any]] = DeltaTable(str(home / "warehouse" / name)).to_pyarrow_table().to_pylist()
    return rows


def comparable(home: Path, name: str) -> list[dict[str, Any]]:
    """The rows in order of their key, flat, without what tells of the home or the hour."""
    key = [column for column in TABLES[name].key if column not in OF_THE_HOME]
    return [_flat("", row) for row in sorted(rows_of(home, name), key=lambda row: [str(row[column]) for column in key])]


def _flat(place: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        parts = [(key, part) for key, part in value.items() if key not in OF_THE_HOME]
    elif isinstance(value, list | tuple):
        parts = list(enumerate(value))
    else:
        return {place: value if isinstance(value, float) else str(value)}
    return {inner: leaf for key, part in parts for inner, leaf in _flat(f"{place}/{key}", part).items()}
