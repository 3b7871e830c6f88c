"""From an event to the list it causes, at several rates: the service beside its broker and a reader."""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tests.benchmarks.processor import seconds_by_program
from tests.benchmarks.stream_load import seconds_to_list
from tests.benchmarks.stream_run import LOG, Service, reading, running_service, sending
from tests.benchmarks.stream_shop import ITEMS, RANK, Shop

RATE = 1000.0
"""Events a second at which the service warms up; figures without a rate in their names are of this one."""
RATES, QUICK_RATES = (1.0, 10.0, 100.0, RATE, 5000.0), (RATE,)
SHOPPERS, QUICK_SHOPPERS = 1_000_000, 5_000
PAST_EVENTS = 50
MINUTES, QUICK_MINUTES = 5.0, 0.25
WARM_UP_SECONDS, QUICK_WARM_UP_SECONDS = 60.0, 8.0
_END_SECONDS = 120.0
_LOOK_SECONDS = 2.0


class Look(NamedTuple):
    """What was seen of the service at a moment: seconds since the epoch, records that wait, processor seconds so far
    by program."""

    at: float
    backlog: int
    used: dict[str, float]


class Sent(NamedTuple):
    """Events that were sent at a rate: how many, the file that tells when, and what was seen meanwhile."""

    rate: float
    events: int
    file: Path
    looks: list[Look]


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
    each rate, once lists are made of all that was sent before. The first minute, in which Java compiles, is not
    counted. `parts_ms` are medians per micro-batch of lists, `cores_used` shares of one core by program, both at RATE,
    or at the last rate where that is none of them.
    """
    shop = Shop(LOG, shoppers or (QUICK_SHOPPERS if quick else SHOPPERS), past or PAST_EVENTS)
    warm_up = QUICK_WARM_UP_SECONDS if quick else WARM_UP_SECONDS
    seconds = 60 * (minutes or (QUICK_MINUTES if quick else MINUTES))
    wanted = tuple(rates or (QUICK_RATES if quick else RATES))
    sent: list[Sent] = []
    with tempfile.TemporaryDirectory(prefix="freshet-latency-") as folder:
        with running_service(shop, Path(folder)) as service, reading(service) as seen:
            for rate, lasting in ((RATE, warm_up), *((rate, seconds) for rate in wanted)):
                before = sum(one.events for one in sent)
                sent.append(_sent(service, shop, rate, max(1, int(rate * lasting)), skipped=before))
        account = service.account()
        events = pa.concat_tables([pq.read_table(one.file) for one in sent])
        lists = pq.read_table(seen)
    found = np.split(seconds_to_list(events, lists), np.cumsum([one.events for one in sent])[:-1])
    moments = np.split(events.column("received").to_numpy() / 1e6, np.cumsum([one.events for one in sent])[:-1])
    figures = {
        one.rate: _figures(one, of_one, moment, account)
        for one, of_one, moment in list(zip(sent, found, moments, strict=True))[1:]
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


def _sent(service: Service, shop: Shop, rate: float, events: int, *, skipped: int) -> Sent:
    """Sends events at a rate, a look every few seconds meanwhile, and waits until lists are made of all of them."""
    sender, file = sending(service, shop, rate=rate, events=events, skipped=skipped)
    looks = []
    while sender.is_alive():
        sender.join(_LOOK_SECONDS)
        service.check()
        looks.append(Look(time.time(), service.backlog(), seconds_by_program(os.getpid(), service.broker)))
    _until_read(service)
    return Sent(rate, events, file, looks)


def _figures(
    sent: Sent, seconds: NDArray[np.float64], moments: NDArray[np.float64], account: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The figures of one rate, of whose events `seconds` are those to a list and `moments` those of sending."""
    begin, end = float(moments[0]), float(moments[-1])
    looks = [look for look in sent.looks if begin <= look.at] or sent.looks[-1:]
    lagging = np.array([look.backlog for look in looks])
    third = max(1, len(lagging) // 3)
    entries = [entry for entry in account if begin <= entry["at"] <= end + _LOOK_SECONDS]
    return {
        "rate": sent.rate,
        "p50_s": _percentile(seconds, 50),
        "p95_s": _percentile(seconds, 95),
        "p99_s": _percentile(seconds, 99),
        "never": int(np.isinf(seconds).sum()),
        "backlog_first_third": float(lagging[:third].mean()),
        "backlog_last_third": float(lagging[-third:].mean()),
        "backlog_end": int(lagging[-1]),
        "events": len(seconds),
        "events_per_s": round((len(moments) - 1) / max(end - begin, 1e-9), 1),
        **batches_of(entries),
        "parts_ms": parts_of(entries),
        "cores_used": _shares(looks),
    }


def _shares(looks: Sequence[Look]) -> dict[str, float]:
    """What each program takes of one core between the first and the last look."""
    first, last = looks[0], looks[-1]
    lasted = max(last.at - first.at, 1e-9)
    return {name: round((total - first.used.get(name, 0.0)) / lasted, 3) for name, total in last.used.items()}


def _percentile(seconds: np.ndarray, percent: int) -> float:
    # Without interpolation, which would make infinity of a neighbour of it.
    return round(float(np.percentile(seconds, percent, method="lower")), 3)


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
