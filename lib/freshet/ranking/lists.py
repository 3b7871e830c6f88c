"""Lists of shoppers from their histories, by the function that batch and stream share."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import ArrayType, LongType, StructField, StructType
from threadpoolctl import ThreadpoolController

from freshet.contracts.models import LIST_ITEM
from freshet.ranking.artifact import Artifact
from freshet.ranking.best_items import cut
from freshet.ranking.histories.entry_columns import with_entry_columns, without_entry_columns
from freshet.ranking.histories.history_block import HistoryBlock, packed_block, read_entries
from freshet.ranking.histories.packed_histories import PackedHistories
from freshet.ranking.reasons import reasons, with_promoted
from freshet.ranking.reranking import candidates_for, ranked
from freshet.ranking.scoring import scored
from freshet.rules.compiled import CompiledRules, no_rules
from freshet.rules.list_rules import ListRules, RulesOfModel

_ITEMS = to_arrow_type(ArrayType(LIST_ITEM))
_MADE = [StructField("items", ArrayType(LIST_ITEM)), StructField("unknown_items", LongType())]


@lru_cache(maxsize=2)
def _artifact(folder: str) -> Artifact:
    """The artifact, one copy per worker process; at most two versions, so that swaps do not accumulate models."""
    return Artifact.load(Path(folder))


@lru_cache(maxsize=2)
def _rules(folder: str, rules: str | None) -> RulesOfModel:
    """Saved rules for the items of an artifact; for None no item is left out. Made once per worker, model and rules."""
    read = no_rules() if rules is None else CompiledRules.load(Path(rules))
    return RulesOfModel(read, _artifact(folder).items)


def recommended(
    histories: DataFrame, *, artifact: Path, clock: datetime, length: int, policy: str, rules: Path | None = None
) -> DataFrame:
    """Rows (user_id, history, ...) with the history replaced by a list: all their other columns, then
    items array<position, item_id, score, reason> and unknown_items.

    Lists hold at most `length` items, fewer when policy and rules leave fewer; ties by item_id. An empty history, or
    one of unknown items only, gets recently popular items with the reason popular_now. `unknown_items` counts history
    entries that the model does not know. Ages are relative to `clock` (UTC). `artifact` must be readable on every
    worker, and so must `rules`, a folder of CompiledRules.save.
    """
    work = listing(artifact=artifact, clock=clock, length=length, policy=policy, rules=rules)
    others = [field for field in histories.schema if field.name != "history"]

    def in_full(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return (_in_full(batch) for batch in work(batches))

    return with_entry_columns(histories).mapInArrow(in_full, StructType([*others, *_MADE]))


def listing(
    *, artifact: Path, clock: datetime, length: int, policy: str, rules: Path | None = None
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The function by which workers turn Arrow batches of `with_entry_columns` into the rows of `recommended`; reasons
    may be codes of a dictionary."""
    folder, of_rules = str(artifact), None if rules is None else str(rules)

    def listed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model = _artifact(folder)
        mine = _rules(folder, of_rules)
        for batch in batches:
            yield from list_batches(batch, model, clock=clock, length=length, policy=policy, rules=mine)

    return listed


def recommended_in_process(
    shoppers: pa.Table, histories: PackedHistories, *, artifact: Path, clock: datetime, length: int, policy: str,
    threads: int, rules: Path | None = None,
) -> pa.Table:  # fmt: skip
    """`recommended` without Spark, for at least one shopper whose history is in the memory of this process: all columns
    of `shoppers`, then items and unknown_items.

    The shoppers are divided among `threads` threads, and BLAS uses one thread in each: its own threads would wait for
    each other in the many small products of the fold-in.
    """
    model = _artifact(str(artifact))
    of_model = _rules(str(artifact), None if rules is None else str(rules))
    whole = shoppers.combine_chunks().to_batches()[0]
    block = packed_block(histories, items=model.items, event_names=model.recipe.event_names, clock=clock)
    size = -(-whole.num_rows // threads)
    starts = range(0, whole.num_rows, size)

    def listed(start: int) -> list[pa.RecordBatch]:
        mine, others = block.part(start, start + size), whole.slice(start, size)
        made = _listed(mine, others, model, length=length, policy=policy, rules=of_model)
        return [_in_full(batch) for batch in made]

    with _blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        return pa.Table.from_batches(made for lists in pool.map(listed, starts) for made in lists)


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    """The BLAS libraries of this process; finding them takes longer than setting them."""
    return ThreadpoolController()


def list_batches(
    batch: pa.RecordBatch,
    model: Artifact,
    *,
    clock: datetime,
    length: int,
    policy: str,
    rules: RulesOfModel | None = None,
) -> Iterator[pa.RecordBatch]:
    """The lists of one Arrow batch of `with_entry_columns`, some shoppers at a time; columns as from `recommended`,
    except that reasons may be codes of a dictionary. `rules` are for the items of `model`."""
    block = read_entries(batch, items=model.items, event_names=model.recipe.event_names, clock=clock)
    others = without_entry_columns(batch)
    of_model = rules or RulesOfModel(no_rules(), model.items)
    yield from _listed(block, others, model, length=length, policy=policy, rules=of_model)


def _listed(
    block: HistoryBlock, others: pa.RecordBatch, model: Artifact, *, length: int, policy: str, rules: RulesOfModel
) -> Iterator[pa.RecordBatch]:
    """The columns `others` with items and unknown_items, some shoppers at a time."""
    audience = rules.audiences_of(others.column("user_id")) if rules.has_audiences else np.zeros(1, dtype=np.int32)
    every = np.unique(audience)
    if len(every) == 1:
        yield from _of_audience(block, others, model, rules.of_audience(every[0]), length=length, policy=policy)
        return
    # Items that are left out differ by audience, and the search leaves them out for all shoppers of a block.
    rows = [np.flatnonzero(audience == number) for number in every]
    parts = [
        made
        for number, mine in zip(every, rows, strict=True)
        for made in _of_audience(
            block.taken(mine), others.take(pa.array(mine)), model, rules.of_audience(number), length=length,
            policy=policy,
        )
    ]  # fmt: skip
    in_order = np.argsort(np.concatenate(rows))
    yield from pa.Table.from_batches(map(_in_full, parts)).take(pa.array(in_order)).combine_chunks().to_batches()


def _of_audience(
    block: HistoryBlock, others: pa.RecordBatch, model: Artifact, rules: ListRules, *, length: int, policy: str
) -> Iterator[pa.RecordBatch]:
    """The lists of shoppers for whom the same rules hold."""
    made = cut(model, policy, candidates_for(model, policy, length, rules))
    size, width, is_search = made
    buffer = made.buffer(block.shoppers)
    for start in range(0, block.shoppers, size):
        part = block.part(start, start + size)
        result = scored(part, model, policy=policy, unavailable=rules.left_out, buffer=buffer, for_search=is_search)
        best = ranked(result, model, policy=policy, width=width, length=length, rules=rules)
        words = with_promoted(reasons(model, result, best.columns, best.blended), best.is_promoted)
        items = _list_column(best.columns, best.scores, words, model.items)
        rows = others.slice(start, size)
        unknown = pa.array(part.unknown, pa.int64())
        yield pa.RecordBatch.from_arrays(
            [*rows.columns, items, unknown], [*rows.schema.names, "items", "unknown_items"]
        )


def _in_full(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with reasons as texts."""
    index = batch.schema.get_field_index("items")
    return batch.set_column(index, "items", batch.column(index).cast(_ITEMS))


def _list_column(
    columns: NDArray[np.int64], values: NDArray[np.float32], words: pa.Array, items: pa.Array
) -> pa.ListArray:
    allowed = np.isfinite(values)
    offsets = np.concatenate([[0], np.cumsum(allowed.sum(axis=1))]).astype(np.int32)
    positions = np.broadcast_to(np.arange(1, columns.shape[1] + 1, dtype=np.int32), columns.shape)
    entries = pa.StructArray.from_arrays(
        [
            pa.array(positions[allowed]),
            items.take(pa.array(columns[allowed])),
            pa.array(values[allowed].astype(np.float64)),
            words.filter(pa.array(allowed.ravel())),
        ],
        ["position", "item_id", "score", "reason"],
    )
    return pa.ListArray.from_arrays(pa.array(offsets), entries)
