"""From an event to the list it causes, at several rates: the service beside its broker and a reader."""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tests.benchmarks.processor import seconds_by_program
from tests.benchmarks.stream_load import Stage, seconds_to_list
from tests.benchmarks.stream_run import LOG, Service, reading, running_service, sending
from tests.benchmarks.stream_shop import ITEMS, RANK, Shop

RATE = 1000.0
"""Events a second at which the service warms up; figures without a rate in their names are of this one."""
RATES, QUICK_RATES = (1.0, 10.0, 100.0, RATE, 5000.0), (RATE,)
SHOPPERS, QUICK_SHOPPERS = 1_000_000, 5_000
PAST_EVENTS = 50
MINUTES, QUICK_MINUTES = 5.0, 0.25
WARM_UP_SECONDS, QUICK_WARM_UP_SECONDS = 60.0, 8.0
_SETTLING_SECONDS = 2.0
"""At the beginning of each rate, not counted: what the rate before has left is worked off."""
_END_SECONDS = 120.0
_LOOK_SECONDS = 2.0


class Look(NamedTuple):
    """What was seen of the service at a moment: seconds since the epoch, records that wait, processor seconds so far
    by program."""

    at: float
    backlog: int
    used: dict[str, float]


def rates_of(text: str) -> tuple[float, ...]:
    """Rates above 0 parted by commas. Raises ArgumentTypeError."""
    try:
        rates = tuple(float(part) for part in text.split(","))
    except ValueError:
        rates = ()
    if not rates or min(rates) <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a list of numbers above 0, as 1,10,100")
    return rates


def stream_latency(
    quick: bool,
    minutes: float | None = None,
    shoppers: int | None = None,
    past: int | None = None,
    rates: Sequence[float] | None = None,
) -> dict[str, Any]:
    """p50_s, p95_s and p99_s from an event's sending until a reader has its list, for each rate, and the backlog in
    records.

    Everything on the same cores: broker, sender, service with both queries, reader. Events are sent for `minutes` at
    each rate. The first minute, in which Java compiles, is sent and not counted. `parts_ms` are medians per micro-batch
    of lists, `cores_used` shares of one core by program, both at RATE, or at the last rate where that is none of them.
    """
    shop = Shop(LOG, shoppers or (QUICK_SHOPPERS if quick else SHOPPERS), past or PAST_EVENTS)
    warm_up = QUICK_WARM_UP_SECONDS if quick else WARM_UP_SECONDS
    seconds = _SETTLING_SECONDS + 60 * (minutes or (QUICK_MINUTES if quick else MINUTES))
    wanted = tuple(rates or (QUICK_RATES if quick else RATES))
    stages = [Stage(RATE, int(RATE * warm_up)), *(Stage(rate, max(1, int(rate * seconds))) for rate in wanted)]
    with tempfile.TemporaryDirectory(prefix="freshet-latency-") as folder:
        with running_service(shop, Path(folder)) as service, reading(service) as seen:
            sender, sent = sending(service, shop, *stages)
            looks = _watched(service, sender)
            _until_read(service)
        account = service.account()
        events, lists = pq.read_table(sent), pq.read_table(seen)
    found = seconds_to_list(events, lists)
    moment, number = events.column("received").to_numpy() / 1e6, events.column("stage").to_numpy()
    figures = {
        rate: _figures(rate, found[number == n], moment[number == n], looks, account)
        for n, rate in enumerate(wanted, 1)
    }
    main = figures[RATE if RATE in figures else wanted[-1]]
    of_rates = {
        f"{name} at {rate:g}/s": of_one[name]
        for rate, of_one in figures.items()
        for name in ("p50_s", "p95_s", "p99_s", "events", "never", "batch_p50_s", "backlog_end")
    }
    return {
        **main,
        **(of_rates if len(figures) > 1 else {}),
        "shoppers": shop.shoppers,
        "past_events": shop.past_events,
        "items": ITEMS,
        "rank": RANK,
        "minutes": round(seconds / 60, 2),
    }


def _figures(
    rate: float,
    seconds: NDArray[np.float64],
    moment: NDArray[np.float64],
    looks: Sequence[Look],
    account: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """The figures of one rate, of whose events `seconds` are those to a list and `moment` those of sending."""
    begin, end = float(moment[0]) + _SETTLING_SECONDS, float(moment[-1])
    counted = seconds[moment >= begin]
    mine = [look for look in looks if begin <= look.at <= end + _LOOK_SECONDS] or list(looks[-1:])
    lagging = np.array([look.backlog for look in mine])
    third = max(1, len(lagging) // 3)
    entries = [entry for entry in account if begin <= entry["at"] <= end + _LOOK_SECONDS]
    return {
        "rate": rate,
        "p50_s": _percentile(counted, 50),
        "p95_s": _percentile(counted, 95),
        "p99_s": _percentile(counted, 99),
        "never": int(np.isinf(seconds).sum()),
        "backlog_first_third": float(lagging[:third].mean()),
        "backlog_last_third": float(lagging[-third:].mean()),
        "backlog_end": int(lagging[-1]),
        "events": len(counted),
        "events_per_s": round((len(moment) - 1) / max(end - float(moment[0]), 1e-9), 1),
        **batches_of(entries),
        "parts_ms": parts_of(entries),
        "cores_used": _shares(mine),
    }


def _shares(looks: Sequence[Look]) -> dict[str, float]:
    """What each program takes of one core between the first and the last look."""
    first, last = looks[0], looks[-1]
    lasted = max(last.at - first.at, 1e-9)
    return {name: round((total - first.used.get(name, 0.0)) / lasted, 3) for name, total in last.used.items()}


def _percentile(seconds: np.ndarray, percent: int) -> float:
    # Without interpolation, which would make infinity of a neighbour of it.
    return round(float(np.percentile(seconds, percent, method="lower")), 3)


def _watched(service: Service, sender: Any) -> list[Look]:
    """A look every few seconds while events are sent."""
    looks = []
    while sender.is_alive():
        sender.join(_LOOK_SECONDS)
        service.check()
        looks.append(Look(time.time(), service.backlog(), seconds_by_program(os.getpid(), service.broker)))
    return looks


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
