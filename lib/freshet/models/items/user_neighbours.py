"""User neighbours: what the shoppers most like this one had, as in user-based k-nearest neighbours.

The fitted model keeps the most recent shoppers, each with the newest items, as rows u of a matrix [shoppers, items]:
u_i = 0.5^(age / half-life) of the newest event of item i. A history has the same form x. Its neighbours are the `count`
shoppers of highest cosine x.u / (|x||u| + shrinkage), and an item's score is the sum of these cosines times u_i. Over
sessions this is session-based kNN (Jannach and Ludewig 2017, where keeping only recent sessions lost little).

To bound the time of a list, only the `per_item` most recent shoppers of each item of the history are looked at: a dot
product leaves out items for which a shopper is not among them. Ids of shoppers are not kept.
"""

from datetime import datetime
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csc_matrix, csr_matrix

from freshet.core.parameters import parameters
from freshet.models.items.item_model import (
    SHOPPERS,
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
from freshet.numeric.coded_rows import CodedRows, changes
from freshet.numeric.compiled import compiled
from freshet.numeric.top_k import found_matrix, nothing_found, put


@parameters
class UserNeighbourConfiguration:
    """As in the module's text; a half-life of None means no decay. `shoppers` and `items` bound what is kept."""

    count: int = Field(ge=1)
    per_item: int = Field(ge=1)
    shrinkage: float = Field(ge=0)
    shoppers: int = Field(ge=1)
    items: int = Field(ge=1)
    half_life_days: float | None = Field()


def recent_shoppers(sequences: DataFrame, shoppers: int) -> DataFrame:
    """(user_id, item_id, position) with the newest position of each pair, of the shoppers with the newest positions.

    Ties by user_id. `position` as epoch seconds, a double; rows with a null are left out.
    """
    pairs = newest_positions(sequences)
    newest = pairs.groupBy("user_id").agg(F.max("position").alias("newest"))
    chosen = newest.orderBy(F.desc("newest"), "user_id").limit(shoppers).select("user_id")
    return pairs.join(F.broadcast(chosen), "user_id", how="left_semi").select("user_id", "item_id", "position")


def shopper_matrix(rows: CodedRows, *, as_of: datetime, items: int, half_life_days: float | None) -> csr_matrix:
    """float32 [shoppers, items]: the rows u of the module's text, the most recent shopper first, ties by user_id; of
    each shopper the `items` newest, ties by item_id.

    `rows.value` is the position in epoch seconds, one row per pair. Positions after `as_of` count as of age 0.
    """
    order = np.lexsort((rows.item, -rows.value, rows.user))
    user, item, position = rows.user[order], rows.item[order], rows.value[order]
    starts = np.flatnonzero(changes(user))
    place = np.arange(len(user)) - np.repeat(starts, np.diff(np.append(starts, len(user))))
    keep = place < items
    value = decayed(position[keep], as_of=as_of, half_life_days=half_life_days)
    # A value that single precision cannot hold would be a stored zero.
    value = np.maximum(value, np.finfo(np.float32).tiny).astype(np.float32)
    by_recency = np.lexsort((user[starts], -position[starts]))
    place_of = np.empty(rows.users, dtype=np.int64)
    place_of[user[starts][by_recency]] = np.arange(len(starts))
    return csr_matrix((value, (place_of[user[keep]], item[keep])), shape=(rows.users, len(rows.item_ids)))


def _fit(configuration: UserNeighbourConfiguration, as_of: datetime) -> Fit:
    # Only values go to the task, not the data's frames.
    shoppers, items, half_life_days = configuration.shoppers, configuration.items, configuration.half_life_days

    def fit(rows: CodedRows) -> csr_matrix:
        found = shopper_matrix(rows, as_of=as_of, items=items, half_life_days=half_life_days)
        # Data in the memory of one process come with all shoppers.
        return found[:shoppers].T.tocsr()

    return fit


def nearest_shoppers(
    own: csr_matrix, fitted: FittedWeights, *, count: int, per_item: int, shrinkage: float
) -> csr_matrix:
    """float32 [histories, shoppers], above 0: the similarities of the `count` nearest shoppers, ties to the lower row.

    `own`: the rows x [histories, items]. A history without an item that any shopper has, has no neighbours.
    """
    by_item: csc_matrix = fitted.by_target
    rows, shoppers = own.shape[0], fitted.matrix.shape[0]
    nearest, values = nothing_found(rows, min(count, shoppers), np.dtype(np.float32))
    if shoppers:
        _nearest(
            own.indptr, own.indices, own.data.astype(np.float32, copy=False), by_item.indptr, by_item.indices,
            by_item.data, fitted.source_lengths, np.float32(shrinkage), per_item, nearest, values,
        )  # fmt: skip
    return found_matrix(nearest, values, shoppers)


@compiled
def _nearest(  # noqa: PLR0913 - a kernel takes plain arrays
    own_ends: NDArray[np.int32], own_items: NDArray[np.int32], own_values: NDArray[np.float32],
    item_ends: NDArray[np.int32], item_shoppers: NDArray[np.int32], item_values: NDArray[np.float32],
    lengths: NDArray[np.float32], shrinkage: np.float32, per_item: int,
    nearest: NDArray[np.int64], values: NDArray[np.float32],
) -> None:  # fmt: skip
    shoppers = len(lengths)
    dots, written = np.empty(shoppers, dtype=np.float32), np.empty(shoppers, dtype=np.int64)
    marked = np.full(shoppers, -1, dtype=np.int64)
    for row in range(len(own_ends) - 1):
        square, found = np.float32(0.0), 0
        for n in range(own_ends[row], own_ends[row + 1]):
            item, own = own_items[n], own_values[n]
            square += own * own
            for m in range(item_ends[item], min(item_ends[item + 1], item_ends[item] + per_item)):
                shopper = item_shoppers[m]
                # Not by the sum: a product of two small values may be 0.
                if marked[shopper] != row:
                    marked[shopper] = row
                    written[found] = shopper
                    found += 1
                    dots[shopper] = np.float32(0.0)
                dots[shopper] += own * item_values[m]
        length = np.sqrt(square)
        for n in range(found):
            other = written[n]
            value = dots[other] / (length * lengths[other] + shrinkage + np.float32(1e-30))
            if value > 0 and value >= values[row, -1]:
                put(values[row], nearest[row], value, other)


@parameters
class UserNeighbourSettings:
    """Section item_models.user_neighbours: the values to try; without half_lives_days the model is left out."""

    half_lives_days: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        description="half-life of a shopper's items since their newest event; 0: no decay"
    )
    count: int = Field(ge=1, description="neighbours whose items are added up")
    per_item: int = Field(ge=1, description="most recent shoppers of an item of the history that may be neighbours")
    shrinkage: float = Field(ge=0, description="added to the divisor of the cosine: damps short histories")
    shoppers: int = Field(ge=1, description="most recent shoppers that are kept in the model")
    items: int = Field(ge=1, description="newest items kept of each")


class UserNeighbours(ItemModel[UserNeighbourSettings, UserNeighbourConfiguration]):
    """User neighbours as a model of the blend; inputs are the similarities of the nearest shoppers."""

    name = "user_neighbours"
    description = "What similar shoppers took"
    settings = UserNeighbourSettings
    configuration = UserNeighbourConfiguration
    sources = SHOPPERS

    def options(self, settings: UserNeighbourSettings) -> list[UserNeighbourConfiguration]:
        return [
            UserNeighbourConfiguration(
                settings.count,
                settings.per_item,
                settings.shrinkage,
                settings.shoppers,
                settings.items,
                no_decay_at_zero(days),
            )
            for days in settings.half_lives_days
        ]

    def half_lives(self, configuration: UserNeighbourConfiguration) -> set[float | None]:
        return set()

    def fit(self, configuration: UserNeighbourConfiguration, data: TrainingData, limits: FitLimits) -> pa.Table:
        rows = recent_shoppers(data.sequences, configuration.shoppers)
        return fitted_weights(rows, _fit(configuration, data.as_of), threads=limits.threads, sources=SHOPPERS)

    def fit_in_process(
        self, configuration: UserNeighbourConfiguration, data: DataInProcess, limits: FitLimits
    ) -> pa.Table:
        rows = newest_positions_in_process(data.sequences)
        return weights_in_process(rows, _fit(configuration, data.as_of), threads=limits.threads, sources=SHOPPERS)

    def inputs(
        self, configuration: UserNeighbourConfiguration, histories: Histories, *, event_weights: NDArray[np.float64],
        fitted: FittedWeights,
    ) -> csr_matrix:  # fmt: skip
        own = histories.newest(event_weights > 0, configuration.half_life_days)
        return nearest_shoppers(
            own, fitted, count=configuration.count, per_item=configuration.per_item,
            shrinkage=configuration.shrinkage,
        )  # fmt: skip

    def usual_inputs(self, configuration: UserNeighbourConfiguration) -> int:
        return configuration.count

    def describe(self, configuration: UserNeighbourConfiguration) -> dict[str, Any]:
        return {"count": configuration.count, "half_life_days": configuration.half_life_days or 0.0}
