"""Reads Arrow batches of interactions into one sparse matrix, with ids numbered by first appearance."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix

_GROUP_ROWS = 1_000_000
"""Rows that are numbered at a time: since ids repeat, more rows mean fewer look-ups per row."""

_NEVER = np.iinfo(np.int64).max


class TrainingRows(NamedTuple):
    """strengths float32 [users, items], sorted by column; ids of its rows and columns."""

    strengths: csr_matrix
    users: pa.Array
    items: pa.Array


class Numbering:
    """Codes of ids by arrival, with the earliest time at which each was seen."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._first = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._codes)

    def codes(self, ids: pa.Array, times: NDArray[np.int64]) -> NDArray[np.int32]:
        """Codes of the ids; new ids get the next numbers. `times` in microseconds."""
        encoded = ids.dictionary_encode()
        known = self._codes
        new = [known.setdefault(text, len(known)) for text in encoded.dictionary.to_pylist()]
        found = np.array(new, dtype=np.int32)[encoded.indices.to_numpy(zero_copy_only=False)]
        self._first = np.concatenate([self._first, np.full(len(known) - len(self._first), _NEVER)])
        np.minimum.at(self._first, found, times)
        return found

    def by_first_appearance(self) -> tuple[pa.Array, NDArray[np.int32]]:
        """Ids in the order in which they were first seen, ties by id; and the position of each code in it."""
        ids = pa.array(list(self._codes), pa.string())
        keys = pa.table({"first": self._first, "id": ids})
        order = keys.sort_by([("first", "ascending"), ("id", "ascending")]).column("id").combine_chunks()
        places = np.empty(len(ids), dtype=np.int32)
        text_order = [self._codes[text] for text in order.to_pylist()]
        places[text_order] = np.arange(len(ids), dtype=np.int32)
        return order, places


class RowReader:
    """Collects (user_id, item_id, first_time, strength) batch by batch; it holds 12 bytes per row, and the ids."""

    def __init__(self) -> None:
        self.users, self.items = Numbering(), Numbering()
        self.pairs = 0
        self._parts: list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]] = []

    def read(self, batches: Iterator[pa.RecordBatch]) -> Iterator[None]:
        """Reads all batches; yields after each group of rows, so that the caller can check sizes and stop."""
        pending: list[pa.RecordBatch] = []
        count = 0
        for batch in batches:
            pending.append(batch)
            count += batch.num_rows
            if count >= _GROUP_ROWS:
                self._add(pending)
                pending, count = [], 0
                yield
        if pending:
            self._add(pending)
            yield

    def _add(self, batches: list[pa.RecordBatch]) -> None:
        group = pa.Table.from_batches(batches)
        users, items, times, strengths = (column.combine_chunks() for column in group.columns)
        moments = pc.fill_null(times.cast(pa.int64()), _NEVER).to_numpy(zero_copy_only=False)
        codes = self.users.codes(users, moments), self.items.codes(items, moments)
        self._parts.append((*codes, strengths.to_numpy(zero_copy_only=False).astype(np.float32)))
        self.pairs += group.num_rows

    def rows(self) -> TrainingRows:
        """The matrix; releases the collected rows."""
        users, user_places = self.users.by_first_appearance()
        items, item_places = self.items.by_first_appearance()
        user_codes, item_codes, strengths = (np.concatenate(each) for each in zip(*self._parts, strict=True))
        self._parts = []
        shape = (len(users), len(items))
        matrix = coo_matrix((strengths, (user_places[user_codes], item_places[item_codes])), shape=shape).tocsr()
        matrix.sort_indices()
        return TrainingRows(matrix, users, items)
