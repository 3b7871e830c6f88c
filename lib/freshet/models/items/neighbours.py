"""Item neighbours: the most similar items of each item, by cosine of their shoppers' strengths.

The computation runs inside one Spark task on a sparse matrix that is built there from Arrow batches. Peak memory is
about 55 bytes per interaction, plus 49 bytes and the id's text per neighbour that is kept.
"""

from datetime import datetime
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field
from pyspark.sql import DataFrame
from scipy.sparse import csc_matrix, csr_matrix

from freshet.core.parameters import parameters
from freshet.models.items.item_model import (
    DataInProcess,
    FitLimits,
    FittedWeights,
    Histories,
    ItemModel,
    TrainingData,
    no_decay_at_zero,
)
from freshet.models.items.item_weights import (
    Fit,
    decayed,
    fitted_weights,
    newest_positions,
    newest_positions_in_process,
    weights_in_process,
)
from freshet.numeric.coded_rows import CodedRows
from freshet.numeric.compiled import compiled
from freshet.numeric.row_kernels import add_up_row
from freshet.numeric.top_k import found_matrix, nothing_found, put


@parameters
class NeighbourParameters:
    """Similarity of an item j to its neighbour i: shared / (|i|^asymmetry * |j|^(2 - asymmetry) + shrinkage), where
    shared is the dot product of their columns and |.| the column norm. Asymmetry 1 without shrinkage is the cosine;
    more than 1 trusts very popular neighbours less. Shrinkage damps pairs with little evidence.
    """

    count: int = Field(ge=1, description="neighbours kept per item")
    asymmetry: float = Field(ge=0, le=2)
    shrinkage: float = Field(ge=0)


def similar_items_matrix(strengths: csr_matrix, params: NeighbourParameters) -> csr_matrix:
    """[items, items] float32 for strengths [shoppers, items] >= 0: row j holds the `count` nearest neighbours of j.

    No item is its own neighbour. Ties go to the lower column. Items without shoppers have empty rows. Neighbours are
    chosen per scored item: chosen per source item, the popular ones would crowd out all others.
    """
    columns: csc_matrix = strengths.tocsc().astype(np.float64)
    norms = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=0)).ravel())
    items = columns.shape[1]
    count = min(params.count, max(1, items - 1))
    nearest, values = nothing_found(items, count, np.dtype(np.float32))
    _nearest(
        columns.indptr, columns.indices, columns.data, strengths.indptr, strengths.indices,
        strengths.data.astype(np.float64), norms**params.asymmetry, norms ** (2.0 - params.asymmetry),
        float(params.shrinkage), nearest, values,
    )  # fmt: skip
    return found_matrix(nearest, values, items)


@compiled
def _nearest(  # noqa: PLR0913 - a kernel takes plain arrays
    item_ends: NDArray[np.int32], item_shoppers: NDArray[np.int32], item_strengths: NDArray[np.float64],
    shopper_ends: NDArray[np.int32], shopper_items: NDArray[np.int32], shopper_strengths: NDArray[np.float64],
    source: NDArray[np.float64], scored: NDArray[np.float64], shrinkage: float,
    nearest: NDArray[np.int64], values: NDArray[np.float32],
) -> None:  # fmt: skip
    """Columns and values of each item's neighbours, filled as by `put`.

    For each item only the items that share a shopper with it are considered, not the whole catalogue.
    """
    items = nearest.shape[0]
    shared, meeting = np.empty(items, dtype=np.float64), np.empty(items, dtype=np.int64)
    marked = np.full(items, -1, dtype=np.int64)
    for item in range(items):
        count = add_up_row(
            item, item_ends, item_shoppers, item_strengths, shopper_ends, shopper_items, shopper_strengths,
            shared, marked, meeting,
        )  # fmt: skip
        for n in range(count):
            other = meeting[n]
            dot = shared[other]
            if dot <= 0.0 or other == item:
                continue
            # Rounded before the comparison, so that values that are shown as equal are also ordered as equal.
            value = np.float32(dot / (source[other] * scored[item] + shrinkage + 1e-12))
            if value > 0:
                put(values[item], nearest[item], value, other)


def item_neighbours(interactions: DataFrame, params: NeighbourParameters, *, threads: int) -> pa.Table:
    """(item_id, neighbours array<item_id, weight>), nearest first, for rows (user_id, item_id, strength).

    Strengths of 0 or null are left out; an item without neighbours has no row.
    """
    wanted = interactions.where("strength > 0").select("user_id", "item_id", "strength")
    return fitted_weights(wanted, _fit(params), threads=threads)


def _fit(params: NeighbourParameters) -> Fit:
    def fit(rows: CodedRows) -> csr_matrix:
        return similar_items_matrix(rows.matrix(), params)

    return fit


def _fit_once(configuration: "NeighbourConfiguration", as_of: datetime) -> Fit:
    days, params = configuration.half_life_days, configuration

    def fit(rows: CodedRows) -> csr_matrix:
        return similar_items_matrix(
            rows._replace(value=decayed(rows.value, as_of=as_of, half_life_days=days)).matrix(), params
        )

    return fit


@parameters
class NeighbourSettings:
    """Section item_models.neighbours: the values to try."""

    counts: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        min_length=1, description="neighbours per item; must not be empty, as similar_items needs them"
    )
    half_lives_days: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        min_length=1, description="half-life of the strengths they are computed from; 0: no decay"
    )
    once_half_lives_days: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        description="the same, of strengths in which an item counts once for a shopper, by its newest event"
    )
    asymmetry: float = Field(ge=0, le=2, description="1: cosine; larger values give less weight to popular items")
    shrinkage: float = Field(ge=0, description="damps pairs with little evidence")


@parameters
class NeighbourConfiguration(NeighbourParameters):
    """NeighbourParameters, and the half-life in days of the strengths; None means no decay. `once`: a strength is that
    of the newest event alone, so that an item that was looked at ten times counts like others (recipes of earlier
    versions do not have it)."""

    half_life_days: float | None = Field()
    once: bool = Field(default=False)


class Neighbours(ItemModel[NeighbourSettings, NeighbourConfiguration]):
    """Neighbours of items as an item model of the blend; inputs are decayed strengths."""

    name = "neighbours"
    description = "Items that go with the shopper's own"
    settings = NeighbourSettings
    configuration = NeighbourConfiguration
    is_similar_items = True

    def options(self, settings: NeighbourSettings) -> list[NeighbourConfiguration]:
        return [
            NeighbourConfiguration(count, settings.asymmetry, settings.shrinkage, no_decay_at_zero(days), once)
            for once, half_lives in ((False, settings.half_lives_days), (True, settings.once_half_lives_days))
            for days in half_lives
            for count in settings.counts
        ]

    def half_lives(self, configuration: NeighbourConfiguration) -> set[float | None]:
        return set() if configuration.once else {configuration.half_life_days}

    def fit(self, configuration: NeighbourConfiguration, data: TrainingData, limits: FitLimits) -> pa.Table:
        if configuration.once:
            fit = _fit_once(configuration, data.as_of)
            return fitted_weights(newest_positions(data.sequences), fit, threads=limits.threads)
        strengths = data.strengths(configuration.half_life_days, 0.0)
        return item_neighbours(strengths, configuration, threads=limits.threads)

    def fit_in_process(self, configuration: NeighbourConfiguration, data: DataInProcess, limits: FitLimits) -> pa.Table:
        if configuration.once:
            rows = newest_positions_in_process(data.sequences)
            return weights_in_process(rows, _fit_once(configuration, data.as_of), threads=limits.threads)
        rows = data.strengths(configuration.half_life_days, 0.0).select(["user_id", "item_id", "strength"])
        return weights_in_process(rows, _fit(configuration), threads=limits.threads)

    def inputs(
        self, configuration: NeighbourConfiguration, histories: Histories, *, event_weights: NDArray[np.float64],
        fitted: FittedWeights,
    ) -> csr_matrix:  # fmt: skip
        if configuration.once:
            return histories.newest(event_weights > 0, configuration.half_life_days)
        return histories.strengths(event_weights, configuration.half_life_days).astype(np.float32)

    def describe(self, configuration: NeighbourConfiguration) -> dict[str, Any]:
        days = configuration.half_life_days or 0.0
        return {"count": configuration.count, "half_life_days": days, "once": configuration.once}
