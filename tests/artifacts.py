"""Small artifacts and histories for tests of scoring, lists and the search."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql.pandas.types import to_arrow_type
from scipy.sparse import csr_matrix

from freshet.contracts.models import PAGE
from freshet.models.factors.parameters import AlsParameters
from freshet.models.items.linear_items import LinearItemConfiguration
from freshet.models.items.neighbours import NeighbourConfiguration
from freshet.models.items.next_items import NextItemParameters
from freshet.ranking.artifact import Artifact
from freshet.ranking.content.links import ContentLinks
from freshet.ranking.histories.history_block import HistoryBlock
from freshet.ranking.histories.packed_histories import PackedHistories, packed_what
from freshet.ranking.lists.shopper_lists import list_batches
from freshet.ranking.recipe import Recipe
from freshet.ranking.scoring import scored
from freshet.ranking.terms.own_items import HalfLife, NoConfiguration, OwnSeen
from tests.oracles_recommendation import Entry

CLOCK = datetime(2020, 3, 1)

HISTORY_TYPE = pa.list_(
    pa.struct(
        [
            ("event_time", pa.timestamp("us", tz="UTC")),
            ("entry_key", pa.int64()),
            ("item_id", pa.string()),
            ("event_name", pa.string()),
            ("order_id", pa.string()),
        ]
    )
)


def recipe(*, own_half_lives: dict[str, float | None] | None = None, **changes: Any) -> Recipe:
    """A recipe without factors and without any weight, but for `changes`. `own_half_lives`: of the own_ terms."""
    values: dict[str, Any] = {
        "target": "purchase",
        "event_weights": {"purchase": 1.0, "refund": -1.0},
        "als": None,
        "item_half_life_days": None,
        "item_min_strength": 0.0,
        "user_half_life_days": None,
        "user_min_strength": 0.0,
        "item_models": {},
        "sparse_terms": {
            name: NoConfiguration() if name == OwnSeen.name else HalfLife(days)
            for name, days in (own_half_lives or {}).items()
        },
        "weights": {"next_baskets": {}, "new_items": {}},
    }
    return Recipe(**{**values, **changes})


def both(**weights: float) -> dict[str, dict[str, float]]:
    """The same weights for both policies."""
    return {"next_baskets": weights, "new_items": weights}


def artifact(
    items: Sequence[str],
    *,
    factors: Any = None,
    neighbours: Any = None,
    linear_items: Any = None,
    next_items: Any = None,
    terms: dict[str, Sequence[float]] | None = None,
    neighbour_half_life_days: float | None = None,
    linear_half_life_days: float | None = None,
    **changes: Any,
) -> Artifact:
    """An artifact of these items, in rising order; `changes` go to the recipe. Item models are dense [items, items]."""
    assert list(items) == sorted(items)
    count = len(items)
    dense = {"neighbours": neighbours, "linear_items": linear_items, "next_items": next_items}
    configurations = {
        "neighbours": NeighbourConfiguration(50, 1.0, 0.0, neighbour_half_life_days),
        "linear_items": LinearItemConfiguration(1.0, 50, 50, linear_half_life_days),
        "next_items": NextItemParameters(0.8, 3, 1.0, 0.0, max(1, count), max(1, count)),
    }
    models = {name: configurations[name] for name, values in dense.items() if values is not None}
    changes = {"item_models": models, **changes}
    return Artifact(
        recipe=recipe(**changes),
        items=pa.array(items, pa.string()),
        factors=np.zeros((count, 0), np.float32) if factors is None else np.asarray(factors, dtype=np.float32),
        item_weights={
            name: csr_matrix(np.asarray(values, dtype=np.float32))
            for name, values in dense.items()
            if values is not None
        },
        terms={name: np.asarray(values, dtype=np.float32) for name, values in (terms or {}).items()},
    )


def random_artifact(rng: np.random.Generator, *, items: int, rank: int, **changes: Any) -> Artifact:
    """All terms at once, with random values."""
    near = rng.random((items, items)) * (rng.random((items, items)) < 0.2)
    linear, following = (rng.standard_normal((items, items)) * (rng.random((items, items)) < 0.3) for _ in range(2))
    weights = {
        "factors": 1.0, "neighbours": 0.7, "linear_items": 0.6, "next_items": 0.4, "own_frequency_30d": 1.3,
        "own_seen": -0.4, "item_popular": 0.5,
    }  # fmt: skip
    values: dict[str, Any] = {
        "als": AlsParameters(max(1, rank), 3, 0.1, 2.0, 7),
        "user_half_life_days": 50.0,
        "user_min_strength": 0.2,
        "neighbour_half_life_days": 20.0,
        "linear_half_life_days": 40.0,
        "own_half_lives": {"own_frequency_30d": 30.0, "own_seen": None},
        "weights": both(**weights),
    }
    return artifact(
        [f"i{n:04d}" for n in range(items)],
        factors=rng.standard_normal((items, rank)),
        neighbours=near,
        linear_items=linear,
        next_items=following,
        terms={"item_popular": rng.standard_normal(items).tolist()},
        **{**values, **changes},
    )


def no_links(new: int, model: Artifact) -> ContentLinks:
    """So many new items of whose content nothing is known."""
    return ContentLinks(csr_matrix((new, len(model.items)), dtype=np.float32))


def random_history(rng: np.random.Generator, items: Sequence[str], length: int) -> list[Entry]:
    """Purchases with some refunds and repeated lines, within 100 days before CLOCK."""
    entries = []
    for _ in range(length):
        moment = datetime.fromtimestamp(CLOCK.timestamp() - int(rng.integers(1, 100 * 86_400)))
        event = "refund" if rng.random() < 0.15 else "purchase"
        entries.append((moment, str(rng.choice(items)), event, f"o{rng.integers(0, 4)}"))
    return entries


def bought(item: str, days_ago: float = 1.0) -> Entry:
    """A purchase in an order of its own so many days before CLOCK."""
    return (CLOCK - timedelta(days=days_ago), item, "purchase", f"o{days_ago}")


def history_rows(history: Sequence[Entry] | None) -> list[dict[str, Any]] | None:
    """Entries as rows, newest first, as `newest_history` gives them."""
    if history is None:
        return None
    return [
        {"event_time": time, "entry_key": n, "item_id": item, "event_name": event, "order_id": order}
        for n, (time, item, event, order) in enumerate(sorted(history, reverse=True))
    ]  # fmt: skip


def histories(*each: Sequence[Entry] | None) -> pa.ListArray:
    """An Arrow column of histories."""
    return pa.array([history_rows(history) for history in each], HISTORY_TYPE)


def packed(column: pa.ListArray) -> PackedHistories:
    """The same histories as the stream keeps them."""
    flat = column.flatten()
    items, names, orders = (flat.field(name).dictionary_encode() for name in ("item_id", "event_name", "order_id"))
    moments = flat.field("event_time").cast(pa.int64()).to_numpy()
    what = packed_what(*(one.indices.to_numpy().astype(np.int64) for one in (items, names)))
    columns = [moments, flat.field("entry_key").to_numpy(), orders.indices.to_numpy(), what]
    lengths = np.array([len(history or ()) for history in column.to_pylist()])
    entries = np.stack(columns, axis=1).astype(np.int64)
    return PackedHistories(lengths, entries, items.dictionary, names.dictionary)


def batch(shoppers: dict[str, Sequence[Entry] | None]) -> pa.RecordBatch:
    """An Arrow batch (user_id, history)."""
    return pa.RecordBatch.from_arrays(
        [pa.array(list(shoppers), pa.string()), histories(*shoppers.values())], ["user_id", "history"]
    )


def all_scores(block: HistoryBlock, model: Artifact, policy: str, **how: Any) -> NDArray[np.float32]:
    """Scores [shoppers, items] in one piece."""
    buffer = np.empty(block.shoppers * block.items, np.float32)
    return scored(block, model, policy=policy, buffer=buffer, **how).rows


def listed(
    batch: pa.RecordBatch, model: Artifact, *, clock: datetime, length: int, policy: str, **other: Any
) -> pa.Table:
    """The lists of a batch (user_id, history) as one table; `other` as in `list_batches`."""
    made = list_batches(with_entry_columns(batch), model, clock=clock, length=length, policy=policy, **other)
    return pa.Table.from_batches([lists.cast(LISTS) for lists in made], LISTS)


def with_entry_columns(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Of a batch with histories, as history_block.with_entry_columns makes it of a DataFrame."""
    rows = batch.column("history").to_pylist()
    fields = {
        field.name: pa.array([row and [entry[field.name] for entry in row] for row in rows], pa.list_(field.type))
        for field in batch.column("history").type.value_type
        if field.name != "entry_key"
    }
    others = [name for name in batch.schema.names if name != "history"]
    return pa.RecordBatch.from_arrays(
        [*batch.select(others).columns, *fields.values()], [*others, *(f"history_{name}" for name in fields)]
    )


def items_listed(
    model: Artifact,
    shoppers: dict[str, list[Entry] | None],
    policy: str = "next_baskets",
    length: int = 3,
    **other: Any,
) -> dict[str, list[dict[str, Any]]]:
    """The items of each shopper's list at CLOCK; `other` as in `list_batches`."""
    found = listed(batch(dict(shoppers)), model, clock=CLOCK, length=length, policy=policy, **other)
    return {row["user_id"]: row["items"] for row in found.to_pylist()}


LISTS = pa.schema(
    [
        ("user_id", pa.string()),
        ("items", pa.list_(pa.struct([("position", pa.int32()), ("item_id", pa.string()), ("score", pa.float64()),
                                      ("reason", pa.string())]))),
        ("propensities", pa.list_(pa.float64())),
        ("placements", to_arrow_type(PAGE)),
        ("list_key", pa.string()),
        ("unknown_items", pa.int64()),
    ]
)  # fmt: skip


def cases(shoppers: Sequence[tuple[str, Sequence[Entry], Sequence[str]]]) -> pa.RecordBatch:
    """An Arrow batch (user_id, history, truth)."""
    users, pasts, truths = zip(*shoppers, strict=True)
    return pa.RecordBatch.from_arrays(
        [pa.array(users, pa.string()), histories(*pasts), pa.array([list(t) for t in truths], pa.list_(pa.string()))],
        ["user_id", "history", "truth"],
    )
