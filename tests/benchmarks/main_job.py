"""The main job on the bundled data, in a process and a home of its own."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from pyarrow.parquet import filters_to_expression

from freshet.tables.format.arrow_reading import arrow_dataset
from tests.benchmarks.memory import Peak, watched

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "conf/sources/online_retail_ii.toml"
DATA = REPOSITORY / "lib/freshet/data/online_retail_II.parquet"

QUICK_SHARE = 25
"""--quick: customers whose number this divides, and little to search."""

QUICK_SETTINGS = (
    "search.ranks=[8]",
    "search.max_iters=[2]",
    "search.item_half_lives_days=[90.0]",
    "search.min_strengths=[0.0]",
    "search.user_half_lives_days=[180.0]",
    "search.rounds=1",
)


def watched_run(source: Path, data: Path, home: Path, *, quick: bool) -> tuple[float, Peak]:
    """Seconds of wall time and peak memory of `freshet run`; with `quick` it makes a small search."""
    settings = [part for text in QUICK_SETTINGS if quick for part in ("--set", text)]
    command = [str(Path(sys.executable).parent / "freshet"), "run", "--source", str(source)]
    started = time.monotonic()
    # The output of the job goes to the screen, but not into the last line of the bench.
    process = subprocess.Popen([*command, "--input", str(data), "--home", str(home), *settings], stdout=sys.stderr)
    peak = watched(process)
    seconds = time.monotonic() - started
    if process.returncode != 0:
        raise SystemExit(f"freshet run on {data} ended with code {process.returncode}")
    return seconds, peak


def main_job(quick: bool) -> dict[str, Any]:
    """seconds of wall time, peak memory of the whole process tree (see memory.Peak), NDCG@10 of the served lists.

    --quick runs a few customers with a small search: its figures tell only that the job works.
    """
    with tempfile.TemporaryDirectory(prefix="freshet-bench-") as folder:
        home, data = Path(folder) / "home", _slice(Path(folder)) if quick else DATA
        seconds, peak = watched_run(SOURCE, data, home, quick=quick)
        return {
            "seconds": round(seconds, 1),
            "peak_rss_gb": round(peak.rss, 2),
            "peak_pss_gb": round(peak.pss, 2),
            "ndcg10_baskets": _ndcg(home, "next_baskets"),
            "ndcg10_new": _ndcg(home, "new_items"),
            "steps": steps(home),
        }


def _slice(folder: Path) -> Path:
    table = pq.read_table(DATA)
    number = pc.cast(pc.fill_null(table.column("Customer ID"), 1.0), "int64")
    kept = pc.equal(pc.subtract(number, pc.multiply(pc.divide(number, QUICK_SHARE), QUICK_SHARE)), 0)
    pq.write_table(table.filter(kept), folder / "slice.parquet")
    return folder / "slice.parquet"


def _ndcg(home: Path, task: str) -> float | None:
    """NDCG@10 of the served lists on the test window; None where nobody could be judged."""
    path = home / "warehouse" / "evaluation_results"
    if not path.exists():
        return None
    wanted = {"task": task, "model": "served", "metric": "ndcg", "k": 10, "split": "test"}
    where = filters_to_expression([(name, "=", value) for name, value in wanted.items()])
    rows = arrow_dataset(DeltaTable(str(path)), path).to_table(filter=where)
    values = rows.column("value").to_pylist()
    return round(values[-1], 4) if values else None


def steps(home: Path) -> Any:
    """What `freshet status --json` says of the steps."""
    command = [str(Path(sys.executable).parent / "freshet"), "status", "--json", "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
