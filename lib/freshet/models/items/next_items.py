"""The next-item model: a ridge regression, in closed form, from a shopper's items so far to the next ones.

A shopper's rows in rising order of position are steps; rows of one position are one step, since their order is not
known. Before step t the shopper's state is x_t = sum over earlier steps s of decay^(t - 1 - s) times the items of s;
y_t marks the items of step t. X and Y hold all states and next items, C_ij is the number of shoppers who have both i
and j. Weights are W = (X'X + reg I)^-1 (X'Y + co_occurrence C) with zero diagonals of C and W: the ridge regression of
Y on X, with the co-occurrence of items in any order added to its right-hand side. A shopper's scores are x'W. It is
solved as in damped_gram.py: exactly for up to `dense_items` items.
"""

from dataclasses import asdict
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field
from pyspark.sql import DataFrame
from scipy.sparse import csr_matrix, vstack

from freshet.core.parameters import parameters
from freshet.models.items.item_model import (
    DataInProcess,
    FitLimits,
    FittedWeights,
    Histories,
    ItemModel,
    TrainingData,
)
from freshet.models.items.item_weights import Fit, check_memory, fitted_weights, numbered_positions, weights_in_process
from freshet.numeric.coded_rows import CodedRows, changes
from freshet.numeric.damped_gram import blocks, damped_gram, needed_bytes
from freshet.numeric.sparse_products import add_product, largest


@parameters
class NextItemParameters:
    """`decay` of a state per step; `steps` newest steps of a state that count (older ones have decayed to little).

    `reg_param` and `co_occurrence` as in the module's text; the `count` weights of largest absolute value are kept per
    scored item; the `dense_items` items with the largest diagonal are solved exactly.
    """

    decay: float = Field(gt=0, le=1)
    steps: int = Field(ge=1)
    reg_param: float = Field(gt=0)
    co_occurrence: float = Field(ge=0)
    count: int = Field(ge=1)
    dense_items: int = Field(ge=1)


class Transitions(NamedTuple):
    """float32 `states` and `nexts` [steps, items], and `owned` [shoppers, items]: 1 for each item of a shopper."""

    states: csr_matrix
    nexts: csr_matrix
    owned: csr_matrix


def transitions(rows: CodedRows, *, decay: float, steps: int) -> Transitions:
    """The rows of the regression; `rows.value` is the position. An item that occurs twice in a step counts once."""
    user, position, item = _in_order(rows)
    opens_step = changes(user, position)
    step, owner = np.cumsum(opens_step) - 1, user[opens_step]
    count, items = len(owner), len(rows.item_ids)
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
    for back in range(1, steps + 1):
        later = step + back
        stays = later < count
        stays[stays] = owner[later[stays]] == user[stays]
        if not stays.any():
            break
        weight = np.full(int(stays.sum()), decay ** (back - 1), dtype=np.float32)
        parts.append((later[stays], item[stays], weight))
    # A shopper's first step has no state, and a row of zeros in X adds nothing, whatever its y is.
    return Transitions(
        _sparse(parts, (count, items)),
        _sparse([(step, item, _ones(len(step)))], (count, items)),
        _clipped(_sparse([(user, item, _ones(len(user)))], (rows.users, items))),
    )


def _in_order(rows: CodedRows) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """(user, position, item) in that order, each triple once."""
    order = np.lexsort((rows.item, rows.value, rows.user))
    user, position, item = rows.user[order], rows.value[order], rows.item[order]
    keep = changes(user, position, item)
    return user[keep], position[keep], item[keep]


def _ones(count: int) -> NDArray[np.float32]:
    return np.ones(count, dtype=np.float32)


def _clipped(matrix: csr_matrix) -> csr_matrix:
    matrix.data[:] = 1.0
    return matrix


def _sparse(
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]], shape: tuple[int, int]
) -> csr_matrix:
    if not parts:
        return csr_matrix(shape, dtype=np.float32)
    rows, columns, values = (np.concatenate(each) for each in zip(*parts, strict=True))
    return csr_matrix((values, (rows, columns)), shape=shape)


def next_item_matrix(found: Transitions, params: NextItemParameters) -> csr_matrix:
    """float32 weights [scored, source] by the equation of the module's text."""
    items = found.states.shape[1]
    gram = damped_gram(found.states, reg_param=params.reg_param, dense_items=params.dense_items)
    nexts, owned = found.nexts.T.tocsr(), found.owned.T.tocsr()
    rows = []
    for start, end in blocks(items, items):
        scored, row = np.arange(start, end), np.arange(end - start)
        right = np.zeros((len(row), items), dtype=np.float32)
        if params.co_occurrence:
            add_product(right, owned[start:end], found.owned, params.co_occurrence)
            right[row, scored] = 0.0
        add_product(right, nexts[start:end], found.states)
        # One more than is kept, since an item's own entry is dropped.
        weights = gram.solved(right, params.count + 1)
        weights[row, scored] = 0.0
        rows.append(largest(weights, params.count))
    return vstack(rows, format="csr") if rows else csr_matrix((items, items), dtype=np.float32)


def next_item_weights(sequences: DataFrame, params: NextItemParameters, *, threads: int, memory_gb: float) -> pa.Table:
    """(item_id, neighbours array<item_id, weight>) from rows (user_id, item_id, position).

    `position` is any number or time that rises along a shopper's sequence; rows with equal ones are one step. Rows
    without a shopper, item or position are left out. Shoppers with one step have no next item, but count in C. Raises
    SetupError if it would need more than `memory_gb`, SettingsError if reg_param is too small for a solution.
    """
    return fitted_weights(numbered_positions(sequences), _fit(params, memory_gb), threads=threads)


def _fit(params: NextItemParameters, memory_gb: float) -> Fit:
    def fit(rows: CodedRows) -> csr_matrix:
        found = transitions(rows, decay=params.decay, steps=params.steps)
        items = found.states.shape[1]
        needed = needed_bytes(found.states, dense_items=params.dense_items, sides=items * min(params.count, items))
        check_memory(needed, memory_gb, items=items, setting="item_models.memory_gb")
        return next_item_matrix(found, params)

    return fit


@parameters
class NextItemSettings:
    """Section item_models.next_items: the values to try; without reg_params the model is left out."""

    reg_params: tuple[Annotated[float, Field(gt=0)], ...] = Field(description="as in the linear model")
    decay: float = Field(gt=0, le=1, description="weight of a step relative to the step after it")
    steps: int = Field(ge=1, description="newest steps of a shopper that are used")
    co_occurrence: float = Field(ge=0, description="weight of items taken together in any order")
    count: int = Field(ge=1, description="as in the linear model")
    dense_items: int = Field(ge=1, description="likewise")

    def with_reg_param(self, reg_param: float) -> NextItemParameters:
        """The model with one of the regularisations."""
        return NextItemParameters(self.decay, self.steps, reg_param, self.co_occurrence, self.count, self.dense_items)


class NextItems(ItemModel[NextItemSettings, NextItemParameters]):
    """The next-item model as an item model of the blend; inputs are the state after the newest step.

    Items that the fitted model does not know do not count as steps.
    """

    name = "next_items"
    description = "What tends to come next"
    settings = NextItemSettings
    configuration = NextItemParameters

    def options(self, settings: NextItemSettings) -> list[NextItemParameters]:
        return [settings.with_reg_param(reg_param) for reg_param in settings.reg_params]

    def half_lives(self, configuration: NextItemParameters) -> set[float | None]:
        return set()

    def fit(self, configuration: NextItemParameters, data: TrainingData, limits: FitLimits) -> pa.Table:
        rows = data.of_frequent_items(data.sequences, limits.most_items)
        return next_item_weights(rows, configuration, threads=limits.threads, memory_gb=limits.memory_gb)

    def fit_in_process(self, configuration: NextItemParameters, data: DataInProcess, limits: FitLimits) -> pa.Table:
        rows = data.of_frequent_items(data.sequences, limits.most_items)
        return weights_in_process(rows, _fit(configuration, limits.memory_gb), threads=limits.threads)

    def inputs(
        self, configuration: NextItemParameters, histories: Histories, *, event_weights: NDArray[np.float64],
        fitted: FittedWeights,
    ) -> csr_matrix:  # fmt: skip
        return histories.states(
            event_weights > 0, fitted.known_items, decay=configuration.decay, steps=configuration.steps
        )

    def describe(self, configuration: NextItemParameters) -> dict[str, Any]:
        return asdict(configuration)
