"""How fast the service works off what has waited in the topic while it was away."""

import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.stream_latency import batches_of, parts_of
from tests.benchmarks.stream_run import LOG, rows_read, running_service, sending
from tests.benchmarks.stream_shop import ITEMS, RANK, Shop

EVENTS, QUICK_EVENTS = 1_000_000, 20_000
SHOPPERS, QUICK_SHOPPERS = 100_000, 5_000
PAST_EVENTS, QUICK_PAST_EVENTS = 50, 5
_SETTINGS = ("service.most_list_events=1000000",)
"""The larger a micro-batch, the fewer lists a backlog costs; by default one ends sooner, for the sake of a stop."""


def stream_catchup(
    quick: bool, events: int | None = None, shoppers: int | None = None, past: int | None = None
) -> dict[str, Any]:
    """events_per_s of lists over a topic filled beforehand, from the start of its first micro-batch to its last list.

    The service has its shoppers' past in its state already and starts again, with both queries and the broker on the
    same cores. Every micro-batch makes one list for each shopper it touches.
    """
    wanted = events or (QUICK_EVENTS if quick else EVENTS)
    past_events = past or (QUICK_PAST_EVENTS if quick else PAST_EVENTS)
    shop = Shop(LOG, shoppers or (QUICK_SHOPPERS if quick else SHOPPERS), past_events)
    with (
        tempfile.TemporaryDirectory(prefix="freshet-catchup-") as folder,
        running_service(shop, Path(folder), _SETTINGS) as service,
    ):
        service.stop()
        before = len(service.account())
        sender, _ = sending(service, shop, rate=None, events=wanted)
        sender.join()
        service.start()
        service.wait(lambda account: rows_read(account[before:], "lists") == wanted)
        # Its own rate, not that of the end: the lists may be done first.
        service.wait(lambda account: rows_read(account[before:], "events") == wanted)
        account = service.account()[before:]
    mine = [entry for entry in account if entry.get("query") and entry["rows"]]
    # Of the two queries the one of lists begins first; both are counted from there.
    began = min(entry["at"] - entry["parts"]["triggerExecution"] / 1000 for entry in mine)
    ends = {
        query: max(entry["at"] for entry in account if entry.get("query") == query) for query in ("lists", "events")
    }
    return {
        "events_per_s": round(wanted / (ends["lists"] - began), 1),
        "intake_events_per_s": round(wanted / (ends["events"] - began), 1),
        "events": wanted,
        "shoppers": shop.shoppers,
        "past_events": shop.past_events,
        "items": ITEMS,
        "rank": RANK,
        **batches_of(account),
        "parts_ms": parts_of(account),
    }
