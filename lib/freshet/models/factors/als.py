"""Implicit-feedback ALS: from (user_id, item_id, first_time, strength) to factors of shoppers and items.

Integer indices are assigned by first appearance, so that new ids only append: starting vectors are drawn in the order
of indices, and because old ids keep theirs, two trainings with the same seed stay nearly comparable.

Two engines solve the same equation (parameters.py): `native` in one task with all its cores, `mllib` on any number
of executors. Both give factors in the principal axes of the items' vectors: the Gram matrix of the items is diagonal,
with the largest value last.
"""

from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.core.errors import DataTooSmallError, SetupError
from freshet.models.factors.mllib_engine import mllib_factors
from freshet.models.factors.native_engine import ITEM, REFUSED, USER, factor_batches, native_rows
from freshet.models.factors.parameters import AUTO, MLLIB, NATIVE, AlsParameters, FactorisationParameters

_LARGEST_FLOAT = 3.4e38

_RESULT_BYTES = 32_000_000
"""Vectors that a task returns to the driver."""


class FittedAls(NamedTuple):
    """Factors by id, and the engine that made them.

    items: (item_id, item_index, factors), on the driver, one row per item. users: (user_id, user_index, factors), None
    if they were not requested. `forget` frees the memory that Spark uses to keep them.
    """

    engine: str
    items: pa.Table
    users: DataFrame | None
    forget: Callable[[], object]


class Factoriser(NamedTuple):
    """An engine with its settings, the cores of a task, and `notify`, which is called at a change of engine."""

    settings: FactorisationParameters
    threads: int
    notify: Callable[[str], None]

    def fit(self, interactions: DataFrame, params: AlsParameters, *, with_users: bool) -> FittedAls:
        """Fits on rows (user_id, item_id, first_time, strength), unique per (user_id, item_id).

        Rows whose strength is not above 0, is null or is no finite float are left out. Raises DataTooSmallError when
        no row remains, SetupError when the native engine cannot fit, SettingsError for settings that the mllib engine
        does not support.
        """
        # In comparisons Spark treats NaN as larger than any number.
        positive = interactions.where((F.col("strength") > 0) & (F.col("strength") <= _LARGEST_FLOAT))
        if self.settings.engine == MLLIB:
            return _by_mllib(positive, params)
        made = native_rows(
            positive, params, cg_steps=self.settings.cg_steps, threads=self.threads,
            memory_gb=self.settings.memory_gb, with_users=with_users,
        ).persist()  # fmt: skip
        items = _collected(made.where(F.col("side") != USER).select("side", "id", "index", "factors"), params.rank)
        if not items.num_rows:
            made.unpersist()
            raise _nothing_to_learn()
        if items.column("side")[0].as_py() == REFUSED:
            made.unpersist()
            return self._without_room(positive, params, items.column("id")[0].as_py())
        assert items.column("side")[0].as_py() == ITEM
        table = items.drop_columns("side").rename_columns(["item_id", "item_index", "factors"])
        users = made.where(F.col("side") == USER).select(
            F.col("id").alias("user_id"), F.col("index").alias("user_index"), "factors"
        )
        return FittedAls(NATIVE, table, users if with_users else None, made.unpersist)

    def fit_in_process(self, interactions: pa.Table, params: AlsParameters) -> pa.Table:
        """(item_id, item_index, factors) by the native engine, without Spark: that of `fit` for the same rows, whose
        strengths must be above 0 and finite. Raises DataTooSmallError without rows, SetupError when they cannot fit."""
        rows = interactions.select(["user_id", "item_id", "first_time", "strength"])
        made = list(factor_batches(
            iter(rows.to_batches()), params, cg_steps=self.settings.cg_steps, threads=self.threads,
            memory_gb=self.settings.memory_gb, with_users=False,
        ))  # fmt: skip
        if not made:
            raise _nothing_to_learn()
        items = pa.Table.from_batches(made)
        if items.column("side")[0].as_py() == REFUSED:
            raise self._refusal(items.column("id")[0].as_py())
        return items.drop_columns("side").rename_columns(["item_id", "item_index", "factors"])

    def _refusal(self, needed: str) -> SetupError:
        return SetupError(
            "training in one task needs more memory than is allowed",
            where="factorisation.memory_gb",
            expected=f"at most {self.settings.memory_gb:g} GB",
            found=needed,
            do=f'Allow more, lower search.ranks, or set factorisation.engine = "{AUTO}"',
        )

    def _without_room(self, positive: DataFrame, params: AlsParameters, needed: str) -> FittedAls:
        allowed = f"{self.settings.memory_gb:g} GB"
        if self.settings.engine == NATIVE:
            raise self._refusal(needed)
        self.notify(f"training in one task needs {needed}, allowed are {allowed}: MLlib trains on all executors")
        return _by_mllib(positive, params)


def _nothing_to_learn() -> DataTooSmallError:
    return DataTooSmallError("no interaction has a positive strength, so there is nothing to learn tastes from")


def _collected(items: DataFrame, rank: int) -> pa.Table:
    """All rows in the order of their index. Spark holds the result of a task several times in the driver's heap: a
    single one of 256 MB, 500,000 items at rank 128, took more than 2 GB."""
    parts = -(-items.count() * rank * 4 // _RESULT_BYTES)
    return (items.repartition(parts) if parts > 1 else items).toArrow().sort_by("index")


def _by_mllib(positive: DataFrame, params: AlsParameters) -> FittedAls:
    found = mllib_factors(positive, params)
    return FittedAls(MLLIB, found.items, found.users, lambda: None)
