"""The linear item model EASE: each item's strengths as a ridge regression on those of all other items.

Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", eq. 8: with P = (X'X + reg I)^-1, the weight of
item i in the score of item j is -P_ij / P_jj, and 0 for i = j. The exact solution needs 4 bytes per pair of items and
cubic time, so 2 GB are enough for some 20,000 items. In larger catalogues only the `dense_items` most frequent items
are exact (damped_gram.py describes the others).
"""

from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix, vstack

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
from freshet.models.items.item_weights import Fit, check_memory, fitted_weights, weights_in_process
from freshet.numeric.coded_rows import CodedRows
from freshet.numeric.damped_gram import blocks, damped_gram, needed_bytes
from freshet.numeric.sparse_products import largest

_LARGEST_FLOAT = 3.4e38


@parameters
class LinearItemParameters:
    """`reg_param` is added to the diagonal of X'X; the `count` weights of largest absolute value are kept per item.

    The `dense_items` items with the largest diagonal are solved exactly; all items if the catalogue has no more.
    """

    reg_param: float = Field(gt=0)
    count: int = Field(ge=1)
    dense_items: int = Field(ge=1)


def linear_item_matrix(strengths: csr_matrix, params: LinearItemParameters) -> csr_matrix:
    """float32 weights [scored, source] for strengths [shoppers, items] >= 0; an item without shoppers has none."""
    items = strengths.shape[1]
    gram = damped_gram(strengths, reg_param=params.reg_param, dense_items=params.dense_items)
    rows = []
    for start, end in blocks(items, items):
        scored, row = np.arange(start, end), np.arange(end - start)
        unit = np.zeros((len(row), items), dtype=np.float32)
        unit[row, scored] = 1.0
        # One more than is kept, since an item's own entry is dropped.
        weights = gram.solved(unit, params.count + 1)
        weights /= -weights[row, scored][:, None]
        weights[row, scored] = 0.0
        rows.append(largest(weights, params.count))
    return vstack(rows, format="csr") if rows else csr_matrix((items, items), dtype=np.float32)


def linear_item_weights(
    interactions: DataFrame, params: LinearItemParameters, *, threads: int, memory_gb: float
) -> pa.Table:
    """(item_id, neighbours array<item_id, weight>) from rows (user_id, item_id, strength).

    Rows whose strength is not above 0, null or not finite are left out; without rows the result is empty. Raises
    SetupError if it would need more than `memory_gb`, SettingsError if reg_param is too small for a solution.
    """
    # In comparisons Spark treats NaN as larger than any number.
    usable = (F.col("strength") > 0) & (F.col("strength") <= _LARGEST_FLOAT)
    wanted = interactions.where(usable).select(
        F.col("user_id").cast("string"), F.col("item_id").cast("string"), F.col("strength").cast("double")
    )
    return fitted_weights(wanted, _fit(params, memory_gb), threads=threads)


def _fit(params: LinearItemParameters, memory_gb: float) -> Fit:
    def fit(rows: CodedRows) -> csr_matrix:
        strengths = rows.matrix()
        items = strengths.shape[1]
        needed = needed_bytes(strengths, dense_items=params.dense_items, sides=items * min(params.count, items))
        check_memory(needed, memory_gb, items=items, setting="item_models.memory_gb")
        return linear_item_matrix(strengths, params)

    return fit


@parameters
class LinearItemSettings:
    """Section item_models.linear_items: the values to try; without reg_params the model is left out."""

    reg_params: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        description="added to the diagonal of the items' Gram matrix"
    )
    half_life_days: float = Field(ge=0, description="half-life of its strengths, each at most 1")
    count: int = Field(ge=1, description="largest weights kept per item")
    dense_items: int = Field(ge=1, description="items with the most shoppers that are solved exactly; 4 bytes per pair")


@parameters
class LinearItemConfiguration(LinearItemParameters):
    """LinearItemParameters, and the half-life in days of the strengths; None means no decay."""

    half_life_days: float | None = Field()


class LinearItems(ItemModel[LinearItemSettings, LinearItemConfiguration]):
    """The linear item model as an item model of the blend; inputs are decayed strengths, at most 1 each."""

    name = "linear_items"
    description = "Items that go with the shopper's own (EASE)"
    settings = LinearItemSettings
    configuration = LinearItemConfiguration

    def options(self, settings: LinearItemSettings) -> list[LinearItemConfiguration]:
        days = no_decay_at_zero(settings.half_life_days)
        return [LinearItemConfiguration(reg, settings.count, settings.dense_items, days) for reg in settings.reg_params]

    def half_lives(self, configuration: LinearItemConfiguration) -> set[float | None]:
        return {configuration.half_life_days}

    def fit(self, configuration: LinearItemConfiguration, data: TrainingData, limits: FitLimits) -> pa.Table:
        rows = data.of_frequent_items(data.strengths(configuration.half_life_days, 0.0), limits.most_items)
        # At most 1 each, like the inputs: a shopper who buys an item by the hundred would outweigh all others.
        capped = rows.withColumn("strength", F.least("strength", F.lit(1.0)))
        return linear_item_weights(capped, configuration, threads=limits.threads, memory_gb=limits.memory_gb)

    def fit_in_process(
        self, configuration: LinearItemConfiguration, data: DataInProcess, limits: FitLimits
    ) -> pa.Table:
        rows = data.of_frequent_items(data.strengths(configuration.half_life_days, 0.0), limits.most_items)
        # As above.
        capped = rows.select(["user_id", "item_id"]).append_column(
            "strength", pc.min_element_wise(rows.column("strength"), 1.0)
        )
        return weights_in_process(capped, _fit(configuration, limits.memory_gb), threads=limits.threads)

    def inputs(
        self, configuration: LinearItemConfiguration, histories: Histories, *, event_weights: NDArray[np.float64],
        fitted: FittedWeights,
    ) -> csr_matrix:  # fmt: skip
        strengths = histories.strengths(event_weights, configuration.half_life_days).astype(np.float32)
        strengths.data = np.minimum(strengths.data, np.float32(1.0))
        return strengths

    def describe(self, configuration: LinearItemConfiguration) -> dict[str, Any]:
        return {**asdict(configuration), "half_life_days": configuration.half_life_days or 0.0}
