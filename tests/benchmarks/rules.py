"""What merchandising rules cost: the same lists with and without 1,000 rules on 60,000 items."""

import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from freshet.contracts.policies import NEXT_BASKETS
from freshet.ranking.artifact import Artifact
from freshet.ranking.lists.shopper_lists import list_batches
from freshet.rules.compiled import CATALOGUE, CompiledRules, compiled_rules
from freshet.rules.list_rules import RulesOfModel
from freshet.rules.reading import rules_of_definitions
from freshet.runs.settings import load_settings
from tests.benchmarks.stream_shop import ITEMS, artifact, item_ids

CLOCK = datetime(2026, 11, 1)
RULES, SHOPPERS, EVENTS, LENGTH = 1_000, 2_000, 30, 20
QUICK_SHOPPERS, QUICK_PAIRS = 400, 3
_SEGMENTS = ("champions", "loyal", "new", "lost")


def rules(quick: bool, pairs: int = 9) -> dict[str, Any]:
    """added_*: median over alternating pairs of (seconds of lists with rules) / (seconds without) - 1, in one thread.

    `ranker`: the model of `stream-latency` with all that a search may choose; `blend`: the same without its ranker.
    Rules: `mixed`, mostly exclude, boost, bury and cap, with 5 pins and 3 shares; `segments`, a tenth of these for one
    of four segments; `demanding`, 50 pins and 50 shares among them; `excluding`, no others. compile_seconds: from the
    rules as they are in their table.
    """
    rng = np.random.default_rng(3)
    shoppers = QUICK_SHOPPERS if quick else SHOPPERS
    batch, every = _histories(rng, shoppers), artifact()
    found: dict[str, Any] = {"rules": RULES, "items": ITEMS, "shoppers": shoppers}
    models = {"ranker": every, "blend": replace(every, recipe=replace(every.recipe, rankers={}))}
    written = {name: _definitions(rng, name) for name in _RARE}
    compiled = {}
    for name, definitions in written.items():
        started = time.perf_counter()
        compiled[name] = _compiled(definitions, batch)
        found[f"compile_seconds_{name}"] = round(time.perf_counter() - started, 2)
    for of_model, model in models.items():
        for name, made in compiled.items():
            sides = [RulesOfModel(made.without_rules(), model.items), RulesOfModel(made, model.items)]
            times = [_seconds(batch, model, side) for side in sides]  # compiles kernels and the rules of each audience
            pairs_of = [
                [_seconds(batch, model, side) for side in sides] for _ in range(QUICK_PAIRS if quick else pairs)
            ]
            times = np.median(pairs_of, axis=0).tolist()
            ratios = [after / before - 1 for before, after in pairs_of]
            found |= {
                f"added_{of_model}_{name}": round(float(np.median(ratios)), 3),
                f"added_{of_model}_{name}_lowest": round(min(ratios), 3),
                f"added_{of_model}_{name}_highest": round(max(ratios), 3),
                f"list_ms_{of_model}_{name}": round(1000 * times[0] / shoppers, 3),
            }
    return found


def _seconds(batch: pa.RecordBatch, model: Artifact, side: RulesOfModel) -> float:
    started = time.perf_counter()
    for _ in list_batches(batch, model, clock=CLOCK, length=LENGTH, policy=NEXT_BASKETS, rules=side):
        pass
    return time.perf_counter() - started


def _histories(rng: np.random.Generator, shoppers: int) -> pa.RecordBatch:
    """Shoppers of EVENTS events each, as `with_entry_columns` gives them; few items are in many histories."""
    size = shoppers * EVENTS
    items = (ITEMS ** rng.random(size)).astype(np.int64) - 1
    moments = [CLOCK - timedelta(minutes=int(n)) for n in np.sort(rng.integers(1, 40_000, size))]
    values = {
        "event_time": pa.array(moments, pa.timestamp("us", tz="UTC")),
        "item_id": item_ids().take(pa.array(items)),
        "event_name": pa.array(rng.choice(["view_item", "add_to_cart", "purchase"], size, p=[0.85, 0.1, 0.05])),
        "order_id": pa.array([f"o{n}" for n in range(size)]),
    }
    ends = pa.array(np.arange(0, size + 1, EVENTS), pa.int32())
    lists = [pa.ListArray.from_arrays(ends, column) for column in values.values()]
    names = ["user_id", *(f"history_{name}" for name in values)]
    return pa.RecordBatch.from_arrays([pa.array([f"u{n}" for n in range(shoppers)]), *lists], names)


def _definitions(rng: np.random.Generator, kind: str) -> list[dict[str, Any]]:
    def items() -> dict[str, Any]:
        return {
            0: lambda: {"category": f"c{rng.integers(0, 40)} > d{rng.integers(0, 25)}"},
            1: lambda: {"brand": [f"b{n}" for n in rng.integers(0, 300, 3)], "price": {"at_least": 20}},
            2: lambda: {"item_id": [f"i{n:06d}" for n in rng.integers(0, ITEMS, 20)]},
            3: lambda: {"attributes": {"launch": {"at_least": "now"}}, "brand": f"b{rng.integers(0, 300)}"},
        }[int(rng.integers(0, 4))]()

    def one(number: int) -> dict[str, Any]:
        who = {"shoppers": {"segment": _SEGMENTS[number % 4]}} if kind == "segments" and number % 10 == 0 else {}
        return {"name": f"r{number}", **actions[number], **who}

    rare: dict[str, dict[str, Any]] = {
        "pin": {"position": 1}, "share": {"at_least": 0.1}, "weigh": {"attribute": "margin", "strength": 0.01},
        "price_band": {"low": 0.1, "high": 10.0},
    }  # fmt: skip
    usual: dict[str, dict[str, Any]] = {
        "exclude": {}, "boost": {"strength": 0.1}, "bury": {"strength": 0.2}, "cap": {"most": 2}
    }  # fmt: skip
    names = [name for name, count in _RARE[kind].items() for _ in range(count)]
    names += rng.choice(list(usual), RULES - len(names), p=_USUAL[kind]).tolist()
    actions = [{"action": name, **(rare | usual)[name]} for name in names]
    for action in actions:
        if action["action"] not in ("weigh", "price_band"):
            action["items"] = items()
        if action["action"] == "pin":
            action["position"] = int(rng.integers(1, LENGTH + 1))
    return [one(number) for number in range(RULES)]


_RARE = {
    "mixed": {"pin": 5, "share": 3, "weigh": 10, "price_band": 1},
    "segments": {"pin": 5, "share": 3, "weigh": 10, "price_band": 1},
    "demanding": {"pin": 50, "share": 50, "weigh": 50, "price_band": 1},
    "excluding": {},
}
"""Rules by action, by kind of rules; the others are drawn with the probabilities of `_USUAL`."""

_USUAL = dict.fromkeys(_RARE, (0.4, 0.25, 0.2, 0.15)) | {"excluding": (1.0, 0.0, 0.0, 0.0)}


def _compiled(definitions: list[dict[str, Any]], batch: pa.RecordBatch) -> CompiledRules:
    rng = np.random.default_rng(5)
    rows = {
        "item_id": item_ids(),
        "name": pa.nulls(ITEMS, pa.string()),
        "category_path": pa.array([f"c{a} > d{b}" for a, b in rng.integers(0, (40, 25), (ITEMS, 2))]),
        "brand": pa.array([f"b{n}" for n in rng.integers(0, 300, ITEMS)]),
        "price": pa.array(np.round(rng.lognormal(3, 1, ITEMS), 2)),
        "available": pa.array(rng.random(ITEMS) < 0.95),
        "attributes": pa.array(
            [[("margin", str(m)), ("launch", f"2026-{10 + m % 3}-15")] for m in rng.integers(0, 60, ITEMS).tolist()],
            CATALOGUE.field("attributes").type,
        ),
    }
    attributes = [[("segment", _SEGMENTS[n % 4])] for n in range(batch.num_rows)]
    shoppers = pa.table(
        {"user_id": batch.column("user_id"), "attributes": pa.array(attributes, rows["attributes"].type)}
    )
    written = rules_of_definitions(definitions, "benchmark")
    return compiled_rules(written, pa.table(rows), shoppers, moment=CLOCK, candidates=load_settings().rules.candidates)
