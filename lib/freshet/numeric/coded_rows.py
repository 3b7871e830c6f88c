"""Reads Arrow batches of (user_id, item_id, value) as flat NumPy arrays, with ids as numbers."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix


class CodedRows(NamedTuple):
    """One element per row: `user` and `item` numbered by the rising order of their ids, `value` float64."""

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    value: NDArray[np.float64]
    users: int
    item_ids: pa.Array

    def matrix(self) -> csr_matrix:
        """float32 [users, items]; values of equal pairs are added up."""
        shape = (self.users, len(self.item_ids))
        return csr_matrix((self.value.astype(np.float32), (self.user, self.item)), shape=shape)


def coded_rows(batches: Iterator[pa.RecordBatch]) -> CodedRows:
    """All rows of the batches. Ids are coded batch by batch, so that only the texts of one batch are in memory."""
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    rows, columns, values = [], [], []
    for batch in batches:
        rows.append(_numbered(batch.column(0), users))
        columns.append(_numbered(batch.column(1), items))
        values.append(batch.column(2).to_numpy(zero_copy_only=False).astype(np.float64))
    if not rows:
        nothing = np.empty(0, dtype=np.int64)
        return CodedRows(nothing, nothing, np.empty(0), 0, pa.array([], pa.string()))
    # Sorted by id and not by arrival, which differs between runs: sums over shoppers are equal to the last bit.
    user_place, _ = _in_order(users)
    item_place, item_ids = _in_order(items)
    return CodedRows(
        user_place[np.concatenate(rows)], item_place[np.concatenate(columns)], np.concatenate(values), len(users),
        item_ids,
    )  # fmt: skip


def _in_order(codes: dict[str, int]) -> tuple[NDArray[np.int64], pa.Array]:
    """By code the position of its id in rising order, and the ids in that order."""
    names = pa.array(list(codes), pa.string())
    order = pc.sort_indices(names)
    place = np.empty(len(order), dtype=np.int64)
    place[order.to_numpy()] = np.arange(len(order))
    return place, names.take(order)


def _numbered(column: pa.Array, known: dict[str, int]) -> NDArray[np.int64]:
    encoded = column.dictionary_encode()
    codes = np.array([known.setdefault(text, len(known)) for text in encoded.dictionary.to_pylist()], dtype=np.int64)
    return codes[encoded.indices.to_numpy(zero_copy_only=False)]


def changes(*columns: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Marks the rows at which any of the sorted columns differs from the row before; the first row is marked too."""
    differs = [np.concatenate([np.ones(min(1, len(each)), dtype=bool), each[1:] != each[:-1]]) for each in columns]
    return np.logical_or.reduce(differs)
