"""Shops of any size: one with a long tail of items that is drawn, and one that is a real shop many times over."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

DAYS = 400
"""The time that a drawn shop covers."""

MAPPING = """
name = "long_tail"
format = "parquet"
repeats = "events"
event_name = "purchase"

[columns]
user_id = "user_id"
item_id = "item_id"

[time]
column = "second"
formats = ["unix_s"]
"""
"""The source mapping of a drawn shop."""

_FIRST_SECOND = 1_700_000_000
_TAIL = 0.8
_ITEMS_OF_A_TASTE = 500


def long_tail_shop(folder: Path, *, shoppers: int, items: int, interactions: int, seed: int = 20111209) -> Path:
    """Writes shop.parquet (user_id, item_id, second) and shop.toml, its mapping, to `folder`; returns the latter.

    Every item is bought once at least; all other purchases are of items whose popularity falls with rank^-0.8. A
    shopper buys seven in ten of the items from among those of one taste, some 500 items. How much shoppers buy is
    log-normal; each comes in three visits or more, over 400 days. One purchase in five is of an item of another
    purchase of the same shopper.
    Interactions must be as many as items at least.
    """
    rng = np.random.default_rng(seed)
    activity = rng.lognormal(0.0, 1.0, shoppers)
    user = rng.choice(shoppers, interactions, p=activity / activity.sum())
    tastes = max(1, items // _ITEMS_OF_A_TASTE)
    taste = np.where(rng.random(interactions) < 0.7, user % tastes, rng.integers(0, tastes, interactions))
    item = np.minimum(_ranks(rng, items // tastes, interactions) * tastes + taste, items - 1)
    item[:items] = rng.permutation(items)
    again = np.flatnonzero(rng.random(interactions) < 0.2)
    again = again[again >= items]
    item[again] = _earlier(rng, user, item, again)
    visits = 3 + (activity[user] * 2).astype(np.int64)
    visit = rng.integers(0, visits)
    # A shopper's visits are spread over all days, the same ones each time the shop is drawn.
    day = (user * 7919 + visit * (DAYS // 3 + 17)) % DAYS
    second = _FIRST_SECOND + day * 86_400 + rng.integers(0, 86_400, interactions)
    order = np.argsort(second, kind="stable")
    table = pa.table({
        "user_id": _named("u", user[order]), "item_id": _named("i", item[order]), "second": second[order],
    })  # fmt: skip
    pq.write_table(table, folder / "shop.parquet")
    (folder / "shop.toml").write_text(MAPPING, encoding="utf-8")
    return folder / "shop.toml"


def _ranks(rng: np.random.Generator, count: int, size: int) -> NDArray[np.int64]:
    weights = np.arange(1, count + 1) ** -_TAIL
    return np.asarray(rng.choice(count, size, p=weights / weights.sum()))


def _earlier(
    rng: np.random.Generator, user: NDArray[np.int64], item: NDArray[np.int64], again: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For the rows `again` an item of another row of the same shopper, drawn evenly."""
    by_user = np.argsort(user, kind="stable")
    ends = np.cumsum(np.bincount(user))
    starts = ends - np.bincount(user)
    who = user[again]
    place = starts[who] + (rng.random(len(again)) * (ends[who] - starts[who])).astype(np.int64)
    return np.asarray(item[by_user[place]])


def _named(letter: str, numbers: NDArray[np.int64]) -> pa.Array:
    return pc.binary_join_element_wise(letter, pa.array(numbers).cast(pa.string()), "")


def tiled(source: Path, target: Path, *, columns: tuple[str, ...], times: int) -> int:
    """Writes the rows of a Parquet file so many times over, each time with ids of its own; returns their number.

    `columns` name what tells shoppers and orders apart, as numbers or texts, to whose ids -1, -2, ... is added: rows
    that were equal otherwise would count once. Null stays null.
    """
    table = pq.read_table(source)
    for name in columns:
        ids = table.column(name)
        texts = ids if pa.types.is_string(ids.type) else pc.cast(pc.cast(ids, pa.int64()), pa.string())
        table = table.set_column(table.column_names.index(name), name, texts)
    with pq.ParquetWriter(target, table.schema) as writer:
        for tile in range(times):
            mine = table
            for name in columns if tile else ():
                ids = pc.binary_join_element_wise(table.column(name), str(tile), "-")
                mine = mine.set_column(mine.column_names.index(name), name, ids)
            writer.write_table(mine)
    return times * table.num_rows
