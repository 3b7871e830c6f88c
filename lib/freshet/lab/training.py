"""Interactions as the engine's models are fitted on them: decayed strengths, sequences, features of items."""

import tempfile
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from freshet.contracts.events import IMPRESSIONS
from freshet.core.session import local_session
from freshet.features.items import item_features_in_process
from freshet.lab.interactions import Interactions
from freshet.lab.splits import Cases, micros_of
from freshet.models.items.item_model import DataInProcess, FitLimits, FitsInProcess, ItemModel, TrainingData
from freshet.numeric.coded_rows import changes
from freshet.ranking.histories.history_block import HistoryBlock, read_block
from freshet.ranking.recipe import Recipe


def training_data(train: Interactions, everybody: Cases, recipe: Recipe, as_of: datetime) -> DataInProcess:
    """What the models of a recipe are fitted on, as of a date; `everybody`: the users of `train` as cases.

    Strengths are those that scoring computes from histories: sum of weight * 0.5^(age / half-life) over the events of a
    user and an item, an event of one basket and name once.
    """
    block = read_block(
        everybody.batch().column("history"), items=train.items, event_names=recipe.event_names, clock=as_of
    )
    features = item_features_in_process(_events(train), as_of=as_of, target=recipe.target).sort_by("item_id")
    first = _first_times(train)

    def strengths(half_life_days: float | None, at_least: float) -> pa.Table:
        found = block.strengths(recipe.weights_by_code, half_life_days, at_least=at_least).tocoo()
        times = first[1][np.searchsorted(first[0], found.row.astype(np.int64) * len(train.items) + found.col)]
        return pa.table(
            {
                "user_id": train.users.take(pa.array(found.row)),
                "item_id": train.items.take(pa.array(found.col)),
                "first_time": pa.array(times).cast(pa.timestamp("us", tz="UTC")),
                "strength": found.data,
            }
        )

    return DataInProcess(strengths, _sequences(train, block, recipe, as_of), features, as_of)


def _first_times(train: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """Keys of pairs of user and item, rising, and the first time of each in microseconds."""
    keys = train.user_codes * len(train.items) + train.item_codes
    order = np.lexsort((train.micros, keys))
    opens = changes(keys[order])
    return keys[order][opens], train.micros[order][opens]


def _sequences(train: Interactions, block: HistoryBlock, recipe: Recipe, as_of: datetime) -> pa.Table:
    """A row for each element of the histories with a positive weight, with its time in epoch seconds."""
    counts = recipe.weights_by_code[block.event] > 0
    micros = micros_of(as_of) - np.round(block.age_days[counts] * 86_400e6).astype(np.int64)
    return pa.table(
        {
            "user_id": train.users.take(pa.array(block.row[counts])),
            "item_id": train.items.take(pa.array(block.item[counts])),
            "position": micros / 1e6,
        }
    )


def _events(train: Interactions) -> pa.Table:
    """Rows for `item_features_in_process`; events that were only shown do not count."""
    orders = train.table.column("basket") if train.has("basket") else pa.array(np.arange(len(train))).cast(pa.string())
    rows = pa.table(
        {
            "item_id": train.table.column("item_id"),
            "user_id": train.table.column("user_id"),
            "event_name": train.event_names,
            "order_id": orders,
            "event_time": pa.array(train.micros).cast(pa.timestamp("us", tz="UTC")),
            "price": pa.nulls(len(train), pa.float64()),
        }
    )
    shown = np.isin(np.asarray(train.event_names.to_pylist()), IMPRESSIONS) if train.has("event") else None
    return rows if shown is None else rows.filter(pa.array(~shown))


def fitted_table(model: ItemModel[Any, Any], configuration: Any, data: DataInProcess, limits: FitLimits) -> pa.Table:
    """(item_id, neighbours) of an item model: by its `fit_in_process`, or by `fit` where it has none. Only a model that
    then reads strengths or sequences needs a Spark session: the active one, else one that is started."""
    if isinstance(model, FitsInProcess):
        return model.fit_in_process(configuration, data, limits)
    return model.fit(configuration, FramesOnDemand(data), limits)


class FramesOnDemand(TrainingData):
    """TrainingData whose frames are made when a model asks for them."""

    def __init__(self, data: DataInProcess) -> None:
        values = {"_data": data, "strengths": self._strengths, "features": data.features, "as_of": data.as_of}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _strengths(self, half_life_days: float | None, at_least: float) -> DataFrame:
        data: DataInProcess = self.__dict__["_data"]
        return _session().createDataFrame(data.strengths(half_life_days, at_least))

    @cached_property
    def sequences(self) -> DataFrame:
        """The frame of DataInProcess.sequences."""
        data: DataInProcess = self.__dict__["_data"]
        return _session().createDataFrame(data.sequences)


def _session() -> SparkSession:
    return SparkSession.getActiveSession() or local_session("freshet-lab", "local[*]", scratch=Path(_scratch().name))


@cache
def _scratch() -> "tempfile.TemporaryDirectory[str]":
    """The folder of Spark's temporary files, which is removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="freshet-lab-", ignore_cleanup_errors=True)
