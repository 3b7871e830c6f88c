"""What an item model is: a model that says how much having one item speaks for another.

Its weights are a sparse matrix [items, items]. A shopper's scores are what the model reads of the shopper's history
(`inputs`) times that matrix. A new item model is a class with the methods of `ItemModel` and one line in
registry.py, or in a module that the setting extensions.modules names. Everything else (settings, search,
recipe, artifact, lists in batch and stream, reasons, report) reaches it through the registry.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from freshet.core.errors import StateError

Strengths = Callable[[float | None, float], DataFrame]
"""(half-life in days, lowest strength) to interactions (user_id, item_id, first_time, strength) as of a date."""

P_contra = TypeVar("P_contra", contravariant=True)
"""The class of a model's settings."""

C = TypeVar("C")
"""The class of a model's configuration."""


def no_decay_at_zero(days: float) -> float | None:
    """A half-life of the settings, where 0 stands for no decay, as code has it: None."""
    return days or None


@dataclass(frozen=True)
class TrainingData:
    """What models are fitted on, as of one date.

    `strengths` knows the half-lives that the models of a run ask for. `sequences`: (user_id, item_id, position), an
    event each, in rising order of position. `features`: contract ITEM_FEATURES of the catalogue.
    """

    strengths: Strengths
    sequences: DataFrame
    features: pa.Table
    as_of: datetime

    def of_frequent_items(self, rows: DataFrame, most_items: int) -> DataFrame:
        """The rows of the `most_items` items of most shoppers, ties by item_id."""
        if self.features.num_rows <= most_items:
            return rows
        order = pc.sort_indices(self.features, sort_keys=[("shoppers", "descending"), ("item_id", "ascending")])
        frequent = self.features.select(["item_id"]).take(order.slice(0, most_items))
        return rows.join(F.broadcast(rows.sparkSession.createDataFrame(frequent)), "item_id", how="left_semi")


@dataclass(frozen=True)
class FitLimits:
    """How large a fit may become: items that are known at most, GB (10^9 bytes) of memory, threads of BLAS."""

    most_items: int
    memory_gb: float
    threads: int


class Histories(Protocol):
    """What an item model may read of a block of shoppers' histories: ranking/history_block.py."""

    def strengths(
        self, weights: NDArray[np.float64], half_life_days: float | None, *, at_least: float = 0.0
    ) -> csr_matrix:
        """[shoppers, items]: sums of decayed weights above 0; `weights` is by event code."""
        ...

    def states(self, events: NDArray[np.bool_], items: NDArray[np.bool_], *, decay: float, steps: int) -> csr_matrix:
        """float32 [shoppers, items]: decay^step of the newest steps; `events` is by event code, `items` by column."""
        ...


@runtime_checkable
class ItemModel(Protocol[P_contra, C]):
    """A kind of item model.

    name: in recipes, weights and settings; file names begin with it. description: in the report, in words.
    settings: the frozen dataclass of its section item_models.<name> of the settings, without fields where it has none.
    configuration: the frozen dataclass of all that a fitted model follows from, of values that JSON knows; what is
    searched is chosen among several of them.
    is_similar_items: whether table similar_items is made of its weights; it is then fitted without a weight too.
    """

    name: str
    description: str
    settings: type
    configuration: type[C]
    is_similar_items: bool = False

    def options(self, settings: P_contra) -> list[C]:
        """The configurations that the settings let a search choose from; none leaves the model out."""
        ...

    def half_lives(self, configuration: C) -> set[float | None]:
        """Half-lives in days of the strengths that `fit` asks for; None stands for no decay."""
        ...

    def fit(self, configuration: C, data: TrainingData, limits: FitLimits) -> pa.Table:
        """(item_id, neighbours array<item_id, weight>): the items that speak for each item. Item-sized.

        Raises SetupError where it would need more memory than it may take, SettingsError where it cannot be solved.
        """
        ...

    def inputs(
        self, configuration: C, histories: Histories, *, event_weights: NDArray[np.float64], known: NDArray[np.bool_]
    ) -> csr_matrix:
        """float32 [shoppers, items], above 0: what is multiplied with the weights, whose rows are in the same order.

        `event_weights` is by event code; `known`, by item, tells whether the fitted model has any weight of it.
        """
        ...

    def describe(self, configuration: C) -> dict[str, Any]:
        """Names and values for the list of trials, MLflow and the report; 0 for a half-life without decay."""
        ...

    def to_json(self, configuration: C) -> dict[str, Any]:
        """The configuration as the recipe keeps it."""
        return asdict(configuration)  # type: ignore[call-overload]

    def from_json(self, values: Mapping[str, Any]) -> C:
        """The configuration of a recipe. Raises StateError for one that is not of this model."""
        return configuration_of(self.configuration, values, where=f"item model {self.name}")


def configuration_of(configuration: type[C], values: Mapping[str, Any], *, where: str) -> C:
    """A configuration from the values of a recipe. Raises StateError for names and values that it does not take."""
    try:
        return configuration(**values)
    except (TypeError, ValueError) as error:
        raise StateError(f"the recipe's configuration cannot be read: {error}", where=where) from None
