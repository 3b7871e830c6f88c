"""From an event to the list it causes: the service at 1,000 events a second beside its broker and a reader."""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tests.benchmarks.processor import seconds_by_program
from tests.benchmarks.stream_load import seconds_to_list
from tests.benchmarks.stream_run import LOG, Service, reading, running_service, sending
from tests.benchmarks.stream_shop import ITEMS, RANK, Shop

RATE = 1000.0
SHOPPERS, QUICK_SHOPPERS = 1_000_000, 5_000
PAST_EVENTS = 50
MINUTES, QUICK_MINUTES = 30.0, 0.25
WARM_UP_SECONDS, QUICK_WARM_UP_SECONDS = 60.0, 8.0
_END_SECONDS = 120.0
_LOOK_SECONDS = 2.0


def stream_latency(
    quick: bool,
    minutes: float | None = None,
    shoppers: int | None = None,
    past: int | None = None,
    rate: float = RATE,
) -> dict[str, Any]:
    """p50_s and p95_s from an event's sending until a reader has its list, and the backlog in records.

    Everything on the same cores: broker, sender, service with both queries, reader. The first minute, in which Java
    compiles, is sent and not counted. `parts_ms` are medians per micro-batch of lists, `cores_used` shares of one core
    by program.
    """
    shop = Shop(LOG, shoppers or (QUICK_SHOPPERS if quick else SHOPPERS), past or PAST_EVENTS)
    warm_up = QUICK_WARM_UP_SECONDS if quick else WARM_UP_SECONDS
    seconds = 60 * (minutes or (QUICK_MINUTES if quick else MINUTES))
    with tempfile.TemporaryDirectory(prefix="freshet-latency-") as folder:
        with running_service(shop, Path(folder)) as service, reading(service) as seen:
            began = time.time()
            sender, sent = sending(service, shop, rate=rate, events=int(rate * (warm_up + seconds)))
            backlog, used = _watched(service, sender, warm_up)
            _until_read(service)
        account = [entry for entry in service.account() if entry["at"] > began + warm_up]
        events, lists = pq.read_table(sent), pq.read_table(seen)
    found = seconds_to_list(events, lists)
    moment = events.column("received").to_numpy() / 1e6
    counted = found[moment > moment[0] + warm_up]
    lagging = np.array([records for at, records in backlog if at > warm_up])
    third = max(1, len(lagging) // 3)
    return {
        "p50_s": _percentile(counted, 50),
        "p95_s": _percentile(counted, 95),
        "p99_s": _percentile(counted, 99),
        "never": int(np.isinf(found).sum()),
        "backlog_first_third": float(lagging[:third].mean()),
        "backlog_last_third": float(lagging[-third:].mean()),
        "backlog_end": int(lagging[-1]),
        "events": len(counted),
        "events_per_s": round(len(events) / float(moment[-1] - moment[0]), 1),
        "shoppers": shop.shoppers,
        "past_events": shop.past_events,
        "items": ITEMS,
        "rank": RANK,
        "minutes": round(seconds / 60, 2),
        **batches_of(account),
        "parts_ms": parts_of(account),
        "cores_used": used,
    }


def _percentile(seconds: np.ndarray, percent: int) -> float:
    # Without interpolation, which would make infinity of a neighbour of it.
    return round(float(np.percentile(seconds, percent, method="lower")), 3)


def _watched(service: Service, sender: Any, warm_up: float) -> tuple[list[tuple[float, int]], dict[str, float]]:
    """(seconds since the start, backlog) every few seconds while events are sent; and what each program takes of one
    core, without the warm-up."""
    started, found = time.monotonic(), []
    before, since = seconds_by_program(os.getpid(), service.broker), started
    used: dict[str, float] = {}
    while sender.is_alive():
        sender.join(_LOOK_SECONDS)
        now = time.monotonic()
        found.append((now - started, service.backlog()))
        service.check()
        seconds = seconds_by_program(os.getpid(), service.broker)
        if now - started <= warm_up:
            before, since = seconds, now
        elif sender.is_alive():
            used = {name: round((total - before.get(name, 0.0)) / (now - since), 3) for name, total in seconds.items()}
    return found, used


def _until_read(service: Service) -> None:
    end = time.monotonic() + _END_SECONDS
    while service.backlog() and time.monotonic() < end:
        time.sleep(0.2)


def batches_of(account: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Micro-batches of lists, their median and 95th percentile in seconds, and their median of events."""
    mine = [entry for entry in account if entry.get("query") == "lists" and entry["rows"]]
    seconds = [entry["parts"]["triggerExecution"] / 1000 for entry in mine] or [0.0]
    return {
        "batches": len(mine),
        "batch_p50_s": round(float(np.median(seconds)), 3),
        "batch_p95_s": round(float(np.percentile(seconds, 95)), 3),
        "batch_events": float(np.median([entry["rows"] for entry in mine] or [0])),
    }


def parts_of(account: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Milliseconds per micro-batch of lists: Spark's parts as medians, our own as means."""
    mine = [entry for entry in account if entry.get("query") == "lists" and entry["rows"]]
    names = sorted({name for entry in mine for name in entry["parts"]})
    parts = {f"spark.{name}": float(np.median([entry["parts"].get(name, 0) for entry in mine])) for name in names}
    ours: dict[str, float] = {}
    for entry in account:
        if "part" in entry:
            ours[entry["part"]] = ours.get(entry["part"], 0.0) + entry["seconds"]
    return {**parts, **{name: round(1000 * total / max(1, len(mine)), 1) for name, total in sorted(ours.items())}}
