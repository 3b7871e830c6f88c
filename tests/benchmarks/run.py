"""Runs one benchmark: python -m tests.benchmarks.run NAME [--quick]. The last line is one JSON object."""

import argparse
import inspect
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.als import als
from tests.benchmarks.als_memory import als_memory
from tests.benchmarks.als_peers import als_peers
from tests.benchmarks.cold_items import cold_items
from tests.benchmarks.cold_shoppers import cold_shoppers
from tests.benchmarks.counterfactual import counterfactual
from tests.benchmarks.experiments import experiments
from tests.benchmarks.floor import floor
from tests.benchmarks.foldin import foldin
from tests.benchmarks.item_models import item_models
from tests.benchmarks.kill import kill
from tests.benchmarks.kmeans import kmeans
from tests.benchmarks.logreg import logreg
from tests.benchmarks.main_job import main_job
from tests.benchmarks.rules import rules
from tests.benchmarks.scale import scale
from tests.benchmarks.search import search
from tests.benchmarks.shops import shops
from tests.benchmarks.stream_ageing import ageing
from tests.benchmarks.stream_catchup import stream_catchup
from tests.benchmarks.stream_latency import rates_of, stream_latency
from tests.benchmarks.tables import tables
from tests.benchmarks.topk import topk
from tests.benchmarks.write_path import write_path
from tests.benchmarks.yardstick import gemm_gflops

REPOSITORY = Path(__file__).parents[2]
RECORDS = REPOSITORY / ".freshet-bench" / "results.jsonl"

BENCHES: dict[str, Callable[..., dict[str, Any]]] = {
    "topk": topk,
    "foldin": foldin,
    "item-models": item_models,
    "als": als,
    "als-memory": als_memory,
    "als-peers": als_peers,
    "logreg": logreg,
    "kmeans": kmeans,
    "main-job": main_job,
    "rules": rules,
    "scale": scale,
    "search": search,
    "shops": shops,
    "kill": kill,
    "tables": tables,
    "cold-items": cold_items,
    "cold-shoppers": cold_shoppers,
    "counterfactual": counterfactual,
    "experiments": experiments,
    "floor": floor,
    "write-path": write_path,
    "stream-latency": stream_latency,
    "stream-catchup": stream_catchup,
    "ageing": ageing,
}

OPTIONS: dict[str, tuple[Callable[[str], Any], str]] = {
    "only": (str, "the tables, the sources, or the kinds of shop, whose names begin so"),
    "pairs": (int, "alternating pairs of what is compared"),
    "trials": (int, "settings tried on each source"),
    "kills": (int, "kills of the service"),
    "brokers": (int, "kills of the broker under it"),
    "seed": (int, "what is drawn"),
    "minutes": (float, "how long events are sent"),
    "events": (int, "events that have waited in the topic, or of a shop that is drawn"),
    "batches": (int, "micro-batches of lists"),
    "items": (int, "items of a shop that is drawn"),
    "shoppers": (int, "shoppers in the stream's state, or of a shop that is drawn"),
    "past": (int, "past events of each shopper"),
    "rates": (rates_of, "events sent in a second, one rate after the other: 1,10,100"),
}
"""Of single benchmarks: what is measured, or at which size."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench.sh", description=__doc__)
    parser.add_argument("name", choices=sorted(BENCHES), help="what to measure")
    parser.add_argument("--quick", action="store_true", help="end within a minute, at a smaller size")
    for name, (kind, told) in OPTIONS.items():
        parser.add_argument(f"--{name}", type=kind, help=told)
    wish = parser.parse_args()
    wanted = {name: value for name in OPTIONS if (value := getattr(wish, name)) is not None}
    if strange := wanted.keys() - inspect.signature(BENCHES[wish.name]).parameters.keys():
        parser.error(f"{wish.name} has no --{' and no --'.join(sorted(strange))}")
    before = gemm_gflops()
    found = BENCHES[wish.name](wish.quick, **wanted)
    after = gemm_gflops()
    # Of most benches, nested figures are for the record alone; of tables, each table is a figure.
    metrics = {
        name: value for name, value in found.items() if wish.name == "tables" or not isinstance(value, dict | list)
    }
    result = {
        "bench": wish.name,
        "commit": _commit(),
        "yardstick_gflops": round(min(before, after), 1),
        "metrics": metrics,
    }
    single = {name: value for name, value in metrics.items() if not isinstance(value, dict)}
    # Where the time goes is worth a look, and no figure by itself.
    for name in ("parts_ms", "cores_used"):
        single |= {f"{name}: {part}": value for part, value in found.get(name, {}).items()}
    _print(wish.name, wish.quick, single, before, after)
    _keep({**result, "quick": wish.quick, "yardstick": [round(before, 1), round(after, 1)], "raw": found})
    print(json.dumps(result))


def _print(name: str, quick: bool, metrics: dict[str, Any], before: float, after: float) -> None:
    table = Table(title=f"{name}{' (quick)' if quick else ''}")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for figure, value in metrics.items():
        table.add_row(figure, "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.6g}")
    table.add_section()
    table.add_row("yardstick before, GFLOP/s", f"{before:.1f}")
    table.add_row("yardstick after, GFLOP/s", f"{after:.1f}")
    Console().print(table)


def _keep(record: dict[str, Any]) -> None:
    """Adds the record to the file of all measurements."""
    RECORDS.parent.mkdir(exist_ok=True)
    with RECORDS.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), **record}) + "\n")


def _commit() -> str:
    """The commit that is measured, marked where files differ from it; unknown outside a repository."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "--short=12", "HEAD") or "unknown"
    return f"{commit}-changed" if git("status", "--porcelain", "--untracked-files=no") else commit


if __name__ == "__main__":
    main()
