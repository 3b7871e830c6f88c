"""The interface of item models, which predict from the items of a shopper how likely another one is.

The weights of a model are a sparse matrix [sources, items]. A shopper's scores are the model's inputs from the
shopper's history (`inputs`) times that matrix. Sources are the items of the catalogue, or shoppers that the model
keeps. A new item model is a class with the methods of `ItemModel` and one line in models/items/registry.py, or in a
module that the setting extensions.modules names. Everything else (settings, search, recipe, artifact, lists in batch
and stream, reasons, report) uses it through the registry.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csc_matrix, csr_matrix

from freshet.core.errors import StateError

Strengths = Callable[[float | None, float], DataFrame]
"""Maps (half-life in days, lowest strength) to interactions (user_id, item_id, first_time, strength) as of a date."""

P_contra = TypeVar("P_contra", contravariant=True)
"""The class of a model's settings."""

C = TypeVar("C")
"""The class of a model's configuration."""


def no_decay_at_zero(days: float) -> float | None:
    """Converts a half-life of the settings, where 0 means no decay, to the value that code uses: None."""
    return days or None


@dataclass(frozen=True)
class TrainingData:
    """The data that models are fitted on, as of one date.

    `strengths` has the half-lives that the models of a run need. `sequences`: (user_id, item_id, position), one row
    per event, in rising order of position. `features`: contract ITEM_FEATURES of the catalogue.
    """

    strengths: Strengths
    sequences: DataFrame
    features: pa.Table
    as_of: datetime

    def of_frequent_items(self, rows: DataFrame, most_items: int) -> DataFrame:
        """The rows of the `most_items` items with most shoppers, ties by item_id."""
        if self.features.num_rows <= most_items:
            return rows
        frequent = frequent_items(self.features, most_items)
        return rows.join(F.broadcast(rows.sparkSession.createDataFrame(frequent)), "item_id", how="left_semi")


def frequent_items(features: pa.Table, most_items: int) -> pa.Table:
    """(item_id): the `most_items` items with most shoppers, ties by item_id, of rows of contract ITEM_FEATURES."""
    order = pc.sort_indices(features, sort_keys=[("shoppers", "descending"), ("item_id", "ascending")])
    return features.select(["item_id"]).take(order.slice(0, most_items))


@dataclass(frozen=True)
class DataInProcess:
    """TrainingData in the memory of this process, for `FitsInProcess`.

    `strengths` maps (half-life in days, lowest strength) to (user_id string, item_id string, first_time timestamp,
    strength double), one row per pair, strengths above 0 and finite. `sequences`: (user_id string, item_id string,
    position double, in epoch seconds where it is a time), without nulls. `features` and `as_of` as in TrainingData.
    """

    strengths: Callable[[float | None, float], pa.Table]
    sequences: pa.Table
    features: pa.Table
    as_of: datetime

    def of_frequent_items(self, rows: pa.Table, most_items: int) -> pa.Table:
        """The rows of `frequent_items`."""
        if self.features.num_rows <= most_items:
            return rows
        frequent = frequent_items(self.features, most_items).column("item_id").combine_chunks()
        return rows.filter(pc.is_in(rows.column("item_id"), value_set=frequent))


@dataclass(frozen=True)
class FitLimits:
    """Limits of a fit: most items in the model, GB (10^9 bytes) of memory, BLAS threads."""

    most_items: int
    memory_gb: float
    threads: int


ITEMS, SHOPPERS = "items", "shoppers"
"""What the sources of a model's weights are."""

USUAL_ITEMS = 16
"""Items of a typical history."""


@dataclass(frozen=True)
class FittedWeights:
    """The weights of a fitted model, float32 [sources, items]: entry [s, j] is the weight of source s in j's score.

    `sources` is ITEMS, in the order of the catalogue, or SHOPPERS.
    """

    matrix: csr_matrix
    sources: str = ITEMS

    @cached_property
    def by_target(self) -> csc_matrix:
        """The weights by scored item; for each the sources in rising order."""
        return self.matrix.tocsc()

    @cached_property
    def known_items(self) -> NDArray[np.bool_]:
        """Whether the model has any weight for an item."""
        found = np.zeros(self.matrix.shape[1], dtype=np.bool_)
        if self.sources == ITEMS:
            found |= np.diff(self.matrix.indptr) > 0
        found[self.matrix.indices] = True
        return found

    @cached_property
    def reach(self) -> float:
        """The number of items that a source has weights for: the mean over all pairs, so that sources with many
        weights, which are the popular items, count accordingly."""
        lengths = np.diff(self.matrix.indptr).astype(np.float64)
        return float((lengths**2).sum() / max(1.0, lengths.sum()))

    @cached_property
    def source_lengths(self) -> NDArray[np.float32]:
        """The Euclidean length of each source's weights."""
        squares = self.matrix.multiply(self.matrix).sum(axis=1)
        return np.sqrt(np.asarray(squares)).ravel().astype(np.float32)


class Histories(Protocol):
    """The part of a block of histories that item models may use: ranking/histories/history_block.py."""

    def strengths(
        self, weights: NDArray[np.float64], half_life_days: float | None, *, at_least: float = 0.0
    ) -> csr_matrix:
        """[shoppers, items]: sums of decayed weights above 0; `weights` is by event code."""
        ...

    def states(self, events: NDArray[np.bool_], items: NDArray[np.bool_], *, decay: float, steps: int) -> csr_matrix:
        """float32 [shoppers, items]: decay^step of the newest steps; `events` is by event code, `items` by column."""
        ...

    def newest(self, events: NDArray[np.bool_], half_life_days: float | None) -> csr_matrix:
        """float32 [shoppers, items]: 0.5^(age / half-life) of the newest event of each item; `events` is by code."""
        ...


@runtime_checkable
class ItemModel(Protocol[P_contra, C]):
    """A kind of item model.

    name: used in recipes, weights and settings; file names begin with it. description: shown in the report.
    settings: the frozen dataclass of its section item_models.<name> of the settings, without fields if it has none.
    configuration: the frozen dataclass of all values that determine a fitted model, of types that JSON supports; a
    search chooses among several configurations.
    is_similar_items: whether table similar_items is built from its weights; it is then fitted even with weight 0.
    sources: ITEMS or SHOPPERS, see FittedWeights.
    """

    name: str
    description: str
    settings: type
    configuration: type[C]
    is_similar_items: bool = False
    sources: str = ITEMS

    def options(self, settings: P_contra) -> list[C]:
        """The configurations from which a search may choose under these settings; without any the model is left out."""
        ...

    def half_lives(self, configuration: C) -> set[float | None]:
        """Half-lives in days of the strengths that `fit` needs; None means no decay."""
        ...

    def fit(self, configuration: C, data: TrainingData, limits: FitLimits) -> pa.Table:
        """(item_id, neighbours array<item_id, weight>): the sources that contribute to each item's score.

        Item-sized, as it is collected to the driver. Shoppers are named by whole numbers from 0.
        Raises SetupError if it would need more memory than allowed, SettingsError if it cannot be solved.
        """
        ...

    def inputs(
        self, configuration: C, histories: Histories, *, event_weights: NDArray[np.float64], fitted: FittedWeights
    ) -> csr_matrix:
        """float32 [shoppers, sources], above 0: multiplied with the weights. `event_weights` is by event code."""
        ...

    def usual_inputs(self, configuration: C) -> int:
        """About how many sources the inputs from a history have. For choosing the cheaper way to score."""
        return USUAL_ITEMS

    def describe(self, configuration: C) -> dict[str, Any]:
        """Names and values for the list of trials, MLflow and the report; a half-life of 0 means no decay."""
        ...

    def to_json(self, configuration: C) -> dict[str, Any]:
        """The configuration as stored in the recipe."""
        return asdict(configuration)  # type: ignore[call-overload]

    def from_json(self, values: Mapping[str, Any]) -> C:
        """The configuration of a recipe. Raises StateError for one that is not of this model."""
        return configuration_of(self.configuration, values, where=f"item model {self.name}")


@runtime_checkable
class FitsInProcess(Protocol):
    """What an item model may do in addition: fit without Spark, on data that one process holds."""

    def fit_in_process(self, configuration: Any, data: DataInProcess, limits: FitLimits) -> pa.Table:
        """The same table as from `ItemModel.fit` of the same data; raises the same errors."""
        ...


def configuration_of(configuration: type[C], values: Mapping[str, Any], *, where: str) -> C:
    """A configuration from the values of a recipe. Raises StateError for unknown names and invalid values."""
    try:
        return configuration(**values)
    except (TypeError, ValueError) as error:
        raise StateError(f"the recipe's configuration cannot be read: {error}", where=where) from None
