"""Interactions: who had what, and when, from any table in memory."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.contracts.events import PURCHASE
from freshet.lab.columns import WHERE, chosen, columns_of, moments, raised, strengths, texts
from freshet.lab.matrices import checked_matrix

_IDS = ("user_id", "item_id", "basket", "session", "event")

SOME_MOMENT = datetime(2000, 1, 1)
"""The time of all rows of data without times."""


@dataclass(frozen=True)
class Interactions:
    """One row per event of a user and an item, checked once, in the order of the given table.

    `table`: user_id and item_id string; where they were given, time timestamp[us] in UTC, basket, session and event
    string, strength double. `user_type`, `item_type`: the types of the given ids, in which results are returned.
    Make one with `Interactions.of` or `Interactions.of_matrix`.
    """

    table: pa.Table
    user_type: pa.DataType
    item_type: pa.DataType

    @staticmethod
    def of(data: Any, **names: str) -> "Interactions":
        """From a pandas DataFrame, a pyarrow Table or a dict of columns.

        Columns, with texts or integers as ids: user_id, item_id; if there: time (timestamps, dates, or integers as
        seconds since 1970; a zone is converted to UTC), basket and session (ids), event (names), strength (numbers
        above 0, such as a rating; without it each row counts 1). A column of another name is given by ours, as in
        `Interactions.of(ratings, item_id="movie", time="timestamp")`. Further columns are ignored.

        Raises InputError with all problems at once: missing columns, nulls and NaN, wrong types, columns of unequal
        lengths, no rows, event and strength together.
        """
        given = columns_of(data)
        problems: list[str] = []
        known = {*_IDS, "time", "strength"}
        problems += [f"{name} is no column of interactions (they are: {', '.join(sorted(known))})"
                     for name in names if name not in known]  # fmt: skip
        found = chosen(given, {ours: names.get(ours) for ours in (*_IDS, "time", "strength")}, problems)
        if {"event", "strength"} <= set(found):
            problems.append("event and strength are both given: weights of events, or strengths of rows, not both")
        readers = {**dict.fromkeys(_IDS, texts), "time": moments, "strength": strengths}
        read = {ours: readers[ours](array, names.get(ours, ours), problems) for ours, array in found.items()}
        if found and not max(len(array) for array in found.values()):
            problems.append("there are no rows")
        raised(problems)
        types = [_plain_type(found[name].type) for name in ("user_id", "item_id")]
        return Interactions(pa.table(read), *types)

    @staticmethod
    def of_matrix(matrix: Any, *, users: Iterable[Any], items: Iterable[Any]) -> "Interactions":
        """From a matrix [users, items], dense or sparse: a row for each entry above 0, which is its strength.

        `users` and `items` name the rows and the columns. Raises InputError where the shape is not users x items, for
        values that are negative or not finite, and for names that repeat.
        """
        problems: list[str] = []
        names = chosen({"user_id": users}, {"user_id": None}, problems)
        names |= chosen({"item_id": items}, {"item_id": None}, problems)
        raised(problems)
        rows, columns = names["user_id"], names["item_id"]
        for of, ids in (("users", rows), ("items", columns)):
            if len(pc.unique(ids)) < len(ids):
                problems.append(f"{of} are not unique")
        raised(problems)
        found = checked_matrix(matrix, (len(rows), len(columns)), where="Interactions.of_matrix").tocoo()
        if (found.data < 0).any():
            raised([f"{int((found.data < 0).sum())} values of the matrix are negative"])
        kept = found.data > 0
        values = found.data[kept]
        table = {"user_id": rows.take(pa.array(found.row[kept])), "item_id": columns.take(pa.array(found.col[kept]))}
        return Interactions.of({**table, **({} if (values == 1).all() and len(values) else {"strength": values})})

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def has(self, column: str) -> bool:
        """Whether a column was given."""
        return column in self.table.column_names

    def where(self, mask: Any) -> "Interactions":
        """The rows that a mask marks. Raises InputError for a mask of another length or type."""
        marks = np.asarray(mask)
        if marks.shape != (len(self),) or marks.dtype != np.bool_:
            found = f"{marks.dtype} of shape {marks.shape}"
            raised([f"a mask of rows must be {len(self)} truth values, is {found}"])
        return replace(self, table=self.table.filter(pa.array(marks)))

    @cached_property
    def users(self) -> pa.Array:
        """The distinct users as texts, in rising order: the rows of matrices."""
        return _distinct(self.table.column("user_id"))

    @cached_property
    def items(self) -> pa.Array:
        """The distinct items as texts, in rising order: the columns of matrices."""
        return _distinct(self.table.column("item_id"))

    @cached_property
    def user_codes(self) -> NDArray[np.int64]:
        """By row, the place of its user in `users`."""
        return places(self.table.column("user_id"), self.users)

    @cached_property
    def item_codes(self) -> NDArray[np.int64]:
        """By row, the place of its item in `items`."""
        return places(self.table.column("item_id"), self.items)

    @cached_property
    def micros(self) -> NDArray[np.int64]:
        """By row, its time in microseconds since 1970; the same for all rows of data without times."""
        if not self.has("time"):
            return np.full(len(self), np.datetime64(SOME_MOMENT, "us").astype(np.int64))
        return self.table.column("time").cast(pa.int64()).to_numpy()

    @cached_property
    def as_of(self) -> datetime:
        """A microsecond after the newest row; without rows that of data without times."""
        newest = self.micros.max() if len(self) else np.datetime64(SOME_MOMENT, "us").astype(np.int64)
        return datetime(1970, 1, 1) + timedelta(microseconds=int(newest) + 1)

    def needs(self, column: str, *, for_what: str) -> None:
        """Raises InputError if a column was not given."""
        if not self.has(column):
            raised([f"{for_what} needs the column {column}"], where=WHERE)

    def values(self) -> NDArray[np.float64]:
        """By row, its strength; 1 where none was given."""
        return self.table.column("strength").to_numpy() if self.has("strength") else np.ones(len(self))

    def matrix(self) -> csr_matrix:
        """float64 [users, items]: the sum of strengths of each user and item, in the order of `users` and `items`."""
        shape = (len(self.users), len(self.items))
        made = csr_matrix((self.values(), (self.user_codes, self.item_codes)), shape=shape)
        made.sum_duplicates()
        return made

    def newest_first(self, owners: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows by owner, within each the newest first; of equal times the later row first."""
        return np.lexsort((-np.arange(len(self)), -self.micros, owners))

    @cached_property
    def event_names(self) -> pa.Array:
        """By row, the name of its event; PURCHASE where none was given."""
        if self.has("event"):
            return self.table.column("event").combine_chunks()
        return pa.repeat(PURCHASE, len(self))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind if pa.types.is_integer(kind) else pa.string()


def _distinct(ids: pa.ChunkedArray) -> pa.Array:
    known = pc.unique(ids)
    known = known.combine_chunks() if isinstance(known, pa.ChunkedArray) else known
    return known.take(pc.sort_indices(known))


def places(ids: pa.ChunkedArray | pa.Array, known: pa.Array) -> NDArray[np.int64]:
    """The place of each id among the known ones, -1 for others."""
    found = pc.fill_null(pc.index_in(ids, value_set=known), -1)
    return found.to_numpy(zero_copy_only=False).astype(np.int64) if isinstance(found, pa.Array) else (
        found.to_numpy().astype(np.int64)
    )  # fmt: skip
