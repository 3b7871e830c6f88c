"""Whether the service grows slower or larger with its micro-batches, for a population that stays the same."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from deltalake import DeltaTable

from freshet.runs.settings import load_settings
from freshet.service.lists.initial_histories import HISTORIES
from tests.benchmarks.stream_run import LOG, Service, running_service, sending
from tests.benchmarks.stream_shop import Shop

BATCHES, QUICK_BATCHES = 5_000, 30
FIRST = slice(100, 600)
LAST = 500
RATE = 1000.0
SHOPPERS, QUICK_SHOPPERS = 20_000, 2_000
PAST_EVENTS = 50
"""Of a shopper before the service starts, and the most of a history: the state is full from the start."""
LOOKS = 10
_TABLES = ("recommendation_updates", "stream_metrics", "events")
_UPKEEP = ("compaction.every_minutes=3.0", "compaction.tidy_minutes=3.0", f"interactions.max_events={PAST_EVENTS}")
"""Four times as often as usual, so that a run of an hour sees what a service of half a day would."""


def ageing(quick: bool, batches: int | None = None, shoppers: int | None = None) -> dict[str, Any]:
    """p95_ratio_last_to_first of whole micro-batches: the last 500 against numbers 100 to 600.

    files_ratio: live files of the stream's tables, at the highest of the looks after the first tenth, against the
    ideal: one for each 64 MB, and in each table half of those that are left to gather before they are packed.
    checkpoint_ratio and state_ratio: files below the checkpoints and size of the state at the end against those at the
    first tenth. All shoppers come again and again.
    """
    wanted = batches or (QUICK_BATCHES if quick else BATCHES)
    shop = Shop(LOG, shoppers or (QUICK_SHOPPERS if quick else SHOPPERS), PAST_EVENTS)
    with (
        tempfile.TemporaryDirectory(prefix="freshet-ageing-") as folder,
        running_service(shop, Path(folder), _UPKEEP) as service,
    ):
        past = _done(service)
        # More than are needed: stopped when there were enough micro-batches.
        sender, _ = sending(service, shop, rate=RATE, events=10_000_000)
        try:
            looks = _looks(service, past, wanted)
        finally:
            sender.terminate()
            sender.join()
        mine = [entry for entry in service.account() if entry.get("query") == "lists" and entry["rows"]][past:]
    seconds = np.array([entry["parts"]["triggerExecution"] / 1000 for entry in mine[:wanted]])
    first = seconds[FIRST] if wanted > FIRST.stop else seconds[: wanted // 2]
    last = seconds[-LAST:] if wanted > FIRST.stop else seconds[wanted // 2 :]
    return {
        "p95_ratio_last_to_first": round(float(np.percentile(last, 95) / np.percentile(first, 95)), 3),
        "p50_ratio_last_to_first": round(float(np.median(last) / np.median(first)), 3),
        "files_ratio": round(max(look["live_files"] / look["ideal_files"] for look in looks[1:]), 3),
        "checkpoint_ratio": round(looks[-1]["checkpoint_files"] / looks[0]["checkpoint_files"], 3),
        "state_ratio": round(looks[-1]["state_mb"] / looks[0]["state_mb"], 3),
        "batches": len(seconds),
        "shoppers": shop.shoppers,
        "looks": looks,
    }


def _done(service: Service) -> int:
    return sum(1 for entry in service.account() if entry.get("query") == "lists" and entry["rows"])


def _looks(service: Service, past: int, wanted: int) -> list[dict[str, float]]:
    """What lies on disk after each tenth of the micro-batches."""
    looks: list[dict[str, float]] = []
    while len(looks) < LOOKS:
        service.check()
        if _done(service) - past >= wanted * (len(looks) + 1) // LOOKS:
            looks.append(_look(service))
        time.sleep(0.5)
    return looks


def _look(service: Service) -> dict[str, float]:
    live = {name: _live(service.home.warehouse / name) for name in _TABLES}
    below = service.home.checkpoints / "service"
    compaction = load_settings().compaction
    target, waiting = compaction.pack_mb << 20, compaction.pack_from_files
    return {
        "live_files": float(sum(files for files, _ in live.values())),
        "ideal_files": float(sum(1 + size // target + waiting / 2 for _, size in live.values())),
        "checkpoint_files": float(sum(1 for _ in below.rglob("*"))),
        "state_mb": (below / "lists" / HISTORIES).stat().st_size / 1e6,
        **{f"{name}_files": float(files) for name, (files, _) in live.items()},
    }


def _live(table: Path) -> tuple[int, int]:
    """Live files and their bytes."""
    actions = DeltaTable(str(table)).get_add_actions(flatten=True)
    return actions.num_rows, sum(actions.column("size_bytes").to_pylist())
