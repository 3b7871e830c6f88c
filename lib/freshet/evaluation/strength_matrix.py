"""Sparse matrices of strengths, built inside one Spark task from Arrow batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class StrengthMatrices:
    """Matrices [shoppers, items] with sorted indices and without stored zeros.

    `users` and `items` are ids in rising order, so that lower rows and columns are lower ids. `pairs` has a 1 for
    each shopper and item with any row, `by_name` the strengths, `wanted` the rows of the shoppers who get lists.
    `is_evidence`, by shopper: false for those who learn from others, but from whom others do not.
    """

    users: pa.Array
    items: pa.Array
    pairs: csr_matrix
    by_name: dict[str, csr_matrix]
    wanted: NDArray[np.int64]
    is_evidence: NDArray[np.bool_]

    def evidence(self, name: str) -> csr_matrix:
        """The strengths `name` of the shoppers from whom others learn."""
        matrix = self.by_name[name]
        return matrix if self.is_evidence.all() else matrix[self.is_evidence]


def strength_matrices(batches: Iterator[pa.RecordBatch], strengths: Sequence[str]) -> StrengthMatrices:
    """From batches of (user_id, item_id, is_wanted, is_evidence, and a double per strength).

    A row without item_id only says that a shopper exists, one with is_wanted that the shopper gets a list, and one
    without is_evidence that nobody learns from the shopper. The texts of ids are held once; repeated pairs add up;
    without any batch the matrices have no rows and columns.
    """
    users, items = _Numbers(), _Numbers()
    rows: list[NDArray[np.int32]] = []
    columns: list[NDArray[np.int32]] = []
    values: dict[str, list[NDArray[np.float64]]] = {name: [] for name in strengths}
    wanted: list[NDArray[np.int32]] = []
    unused: list[NDArray[np.int32]] = []
    for batch in batches:
        numbers = users.of(batch.column("user_id"))
        wanted.append(numbers[batch.column("is_wanted").to_numpy(zero_copy_only=False)])
        unused.append(numbers[~batch.column("is_evidence").to_numpy(zero_copy_only=False)])
        is_pair = batch.column("item_id").is_valid()
        pairs = batch.filter(is_pair)
        rows.append(numbers[is_pair.to_numpy(zero_copy_only=False)])
        columns.append(items.of(pairs.column("item_id")))
        for name in strengths:
            values[name].append(pairs.column(name).to_numpy())
    user_ids, user_place = users.in_order()
    item_ids, item_place = items.in_order()
    place = (user_place[_joined(rows, np.int32)], item_place[_joined(columns, np.int32)])
    shape = (len(user_ids), len(item_ids))
    by_name = {name: _matrix(_joined(values.pop(name), np.float64), place, shape) for name in strengths}
    pair_matrix = _matrix(np.ones(len(place[0]), dtype=np.float64), place, shape)
    chosen = np.unique(user_place[_joined(wanted, np.int32)]).astype(np.int64)
    is_evidence = np.ones(len(user_ids), dtype=np.bool_)
    is_evidence[user_place[_joined(unused, np.int32)]] = False
    return StrengthMatrices(user_ids, item_ids, pair_matrix, by_name, chosen, is_evidence)


class _Numbers:
    """Integers for texts in order of appearance."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, column: pa.Array) -> NDArray[np.int32]:
        encoded = column.dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        codes = np.array([self._known.setdefault(text, len(self._known)) for text in texts], dtype=np.int32)
        return codes[encoded.indices.to_numpy(zero_copy_only=False)]

    def in_order(self) -> tuple[pa.Array, NDArray[np.int32]]:
        """The texts in rising order of their bytes (as Spark orders them), and each number's position in it."""
        texts = pa.array(list(self._known), pa.string())
        order = pc.sort_indices(texts).to_numpy()
        place = np.empty(len(order), dtype=np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        return texts.take(pa.array(order)), place


def _joined(parts: list[NDArray], kind: type) -> NDArray:
    return np.concatenate(parts) if parts else np.empty(0, dtype=kind)


def _matrix(
    values: NDArray[np.float64], place: tuple[NDArray[np.int32], NDArray[np.int32]], shape: tuple[int, int]
) -> csr_matrix:
    matrix = csr_matrix((values, place), shape=shape)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix
