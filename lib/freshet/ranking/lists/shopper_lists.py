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
from pyspark.sql.types import ArrayType, DoubleType, LongType, StringType, StructField, StructType
from threadpoolctl import ThreadpoolController

from freshet.contracts.models import LIST_ITEM, PAGE
from freshet.ranking.artifact import Artifact
from freshet.ranking.best_items import cut
from freshet.ranking.histories.entry_columns import with_entry_columns, without_entry_columns
from freshet.ranking.histories.history_block import HistoryBlock, packed_block, read_entries
from freshet.ranking.histories.packed_histories import PackedHistories
from freshet.ranking.lists.exploration import explored
from freshet.ranking.lists.list_ids import in_hexadecimal, list_keys
from freshet.ranking.ordering.ranked_lists import candidates_for, ranked
from freshet.ranking.placements.page import pages
from freshet.ranking.placements.parameters import PlacementParameters
from freshet.ranking.reasons import reasons, with_reason
from freshet.ranking.scoring import scored
from freshet.ranking.terms.reason import EXPLORED, PROMOTED
from freshet.rules.compiled import CompiledRules, no_rules
from freshet.rules.list_rules import ListRules, RulesOfModel

_ITEMS = to_arrow_type(ArrayType(LIST_ITEM))
_PROPENSITIES = pa.list_(pa.float64())
_PAGE = to_arrow_type(PAGE)
_MADE = [
    StructField("items", ArrayType(LIST_ITEM)),
    StructField("propensities", ArrayType(DoubleType())),
    StructField("placements", PAGE),
    StructField("list_key", StringType()),
    StructField("unknown_items", LongType()),
]


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
    histories: DataFrame, *, artifact: Path, clock: datetime, length: int, policy: str, rules: Path | None = None,
    placements: PlacementParameters | None = None,
) -> DataFrame:  # fmt: skip
    """Rows (user_id, history, ...) with the history replaced by a list: all their other columns, then
    items array<position, item_id, score, reason>, propensities array<double>, placements, list_key and unknown_items.

    Lists hold at most `length` items, fewer when policy and rules leave fewer; ties by item_id. An empty history, or
    one of unknown items only, gets recently popular items with the reason popular_now. `unknown_items` counts history
    entries that the model does not know. `propensities`, in the order of items, is null where nothing is left to
    chance; `placements` (contracts.models.PAGE) is null without served placements; `list_key` is that of list_ids.py,
    in hexadecimal. Ages are relative to `clock` (UTC). `artifact` must be
    readable on every worker, and so must `rules`, a folder of CompiledRules.save.
    """
    work = listing(artifact=artifact, clock=clock, length=length, policy=policy, rules=rules, placements=placements)
    others = [field for field in histories.schema if field.name != "history"]

    def in_full(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return (_in_full(batch) for batch in work(batches))

    return with_entry_columns(histories).mapInArrow(in_full, StructType([*others, *_MADE]))


def listing(
    *,
    artifact: Path,
    clock: datetime,
    length: int,
    policy: str,
    rules: Path | None = None,
    placements: PlacementParameters | None = None,
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The function by which workers turn Arrow batches of `with_entry_columns` into the rows of `recommended`; reasons
    may be codes of a dictionary."""
    folder, of_rules = str(artifact), None if rules is None else str(rules)

    def listed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model = _artifact(folder)
        mine = _rules(folder, of_rules)
        for batch in batches:
            yield from list_batches(
                batch, model, clock=clock, length=length, policy=policy, rules=mine, placements=placements
            )

    return listed


def recommended_in_process(  # noqa: PLR0913 - an argument for each thing that lists are made from
    shoppers: pa.Table, histories: PackedHistories, *, artifact: Path, clock: datetime, length: int, policy: str,
    threads: int, rules: Path | None = None, placements: PlacementParameters | None = None,
) -> pa.Table:  # fmt: skip
    """`recommended` without Spark, for at least one shopper whose history is in the memory of this process: all columns
    of `shoppers`, then those of `recommended`.

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
        made = _listed(
            mine, others, model, clock=clock, length=length, policy=policy, rules=of_model, placements=placements
        )
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
    placements: PlacementParameters | None = None,
) -> Iterator[pa.RecordBatch]:
    """The lists of one Arrow batch of `with_entry_columns`, some shoppers at a time; columns as from `recommended`,
    except that reasons may be codes of a dictionary. `rules` are for the items of `model`."""
    block = read_entries(batch, items=model.items, event_names=model.recipe.event_names, clock=clock)
    others = without_entry_columns(batch)
    of_model = rules or RulesOfModel(no_rules(), model.items)
    yield from _listed(
        block, others, model, clock=clock, length=length, policy=policy, rules=of_model, placements=placements
    )


def _listed(
    block: HistoryBlock, others: pa.RecordBatch, model: Artifact, *, clock: datetime, length: int, policy: str,
    rules: RulesOfModel, placements: PlacementParameters | None,
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """The columns `others` with those of _MADE, some shoppers at a time."""
    keys = list_keys(others.column("user_id"), block, clock=clock, policy=policy)
    audience = rules.audiences_of(others.column("user_id")) if rules.has_audiences else np.zeros(1, dtype=np.int32)
    every = np.unique(audience)
    if len(every) == 1:
        yield from _of_audience(
            block, others, keys, model, rules.of_audience(every[0]), length=length, policy=policy,
            placements=placements,
        )  # fmt: skip
        return
    # Items that are left out differ by audience, and the search leaves them out for all shoppers of a block.
    rows = [np.flatnonzero(audience == number) for number in every]
    parts = [
        made
        for number, mine in zip(every, rows, strict=True)
        for made in _of_audience(
            block.taken(mine), others.take(pa.array(mine)), keys[mine], model, rules.of_audience(number),
            length=length, policy=policy, placements=placements,
        )
    ]  # fmt: skip
    in_order = np.argsort(np.concatenate(rows))
    yield from pa.Table.from_batches(map(_in_full, parts)).take(pa.array(in_order)).combine_chunks().to_batches()


def _of_audience(
    block: HistoryBlock, others: pa.RecordBatch, keys: NDArray[np.uint64], model: Artifact, rules: ListRules, *,
    length: int, policy: str, placements: PlacementParameters | None,
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """The lists of shoppers for whom the same rules hold."""
    made = cut(model, policy, candidates_for(model, policy, length, rules))
    size, width, is_search = made
    buffer = made.buffer(block.shoppers)
    for start in range(0, block.shoppers, size):
        part, rows = block.part(start, start + size), others.slice(start, size)
        result = scored(part, model, policy=policy, unavailable=rules.left_out, buffer=buffer, for_search=is_search)
        best = ranked(result, model, policy=policy, width=width, length=length, rules=rules)
        words = with_reason(reasons(model, result, best.columns, best.blended), PROMOTED, best.is_promoted)
        propensities = pa.nulls(len(rows), _PROPENSITIES)
        if rules.exploration is not None:
            drawn = explored(best, part, model.exploration_weights, rules, keys[start : start + size])
            best, words = drawn.lists, with_reason(words, EXPLORED, drawn.is_explored)
            propensities = _lists_of(pa.array(drawn.propensities[np.isfinite(best.scores)]), best.scores)
        columns = [
            _list_column(best.columns, best.scores, words, model.items), propensities,
            pa.nulls(len(rows), _PAGE) if placements is None else pages(part, model, rules, placements),
            in_hexadecimal(keys[start : start + size]), pa.array(part.unknown, pa.int64()),
        ]  # fmt: skip
        names = [field.name for field in _MADE]
        yield pa.RecordBatch.from_arrays([*rows.columns, *columns], [*rows.schema.names, *names])


def _in_full(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with reasons as texts."""
    index = batch.schema.get_field_index("items")
    return batch.set_column(index, "items", batch.column(index).cast(_ITEMS))


def _list_column(
    columns: NDArray[np.int64], values: NDArray[np.float32], words: pa.Array, items: pa.Array
) -> pa.ListArray:
    allowed = np.isfinite(values)
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
    return _lists_of(entries, values)


def _lists_of(entries: pa.Array, values: NDArray[np.float32]) -> pa.ListArray:
    """Lists of the entries, one for each finite value, row after row."""
    offsets = np.concatenate([[0], np.cumsum(np.isfinite(values).sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), entries)
