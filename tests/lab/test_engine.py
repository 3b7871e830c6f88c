"""The laboratory makes what batch runs make: fits, item features, baselines, cases and lists, from the same data."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from freshet.evaluation.baselines import Baseline, baseline_lists
from freshet.evaluation.kernels import Nearness
from freshet.evaluation.protocols import last_basket_cases, time_split_cases
from freshet.evaluation.splitting import known_before
from freshet.features.interactions import histories
from freshet.features.items import item_features
from freshet.lab import (
    BASELINES,
    ITEM_MODELS,
    NEW_ITEMS,
    NEXT_BASKETS,
    AlsParameters,
    Blend,
    FitLimits,
    Interactions,
    Split,
    baseline,
    fit,
    last_basket,
    session_next_item,
    time_split,
)
from freshet.lab.protocols import users_as_cases
from freshet.lab.training import FramesOnDemand, training_data
from freshet.models.factors.als import Factoriser
from freshet.models.items.item_model import DataInProcess, FitsInProcess, TrainingData
from freshet.pipeline.recommender.recommender_fits import SignalsAt, catalogue, fitted
from freshet.ranking.lists.shopper_lists import recommended
from freshet.runs.settings import load_settings
from tests.factories import event, events_frame
from tests.lab.shops import baskets

ALS = AlsParameters(rank=4, max_iter=3, reg_param=0.1, alpha=5.0, seed=3)
WEIGHTS = {"factors": 0.8, "neighbours": 1.1, "linear_items": 0.9, "next_items": 0.6, "user_neighbours": 0.7,
           "own_frequency_30d": 0.5, "own_step_2": 0.3, "item_popular_30d": 0.2, "item_trend": -0.1}  # fmt: skip
CUT = datetime(2020, 2, 3)


def _frame() -> pd.DataFrame:
    frame = baskets()
    return frame.assign(user_id="u" + frame["user_id"].astype(str))


@pytest.fixture(scope="module")
def split() -> Split:
    return time_split(Interactions.of(_frame()), at=CUT, policy=NEXT_BASKETS)


@pytest.fixture(scope="module")
def blend(split: Split) -> Blend:
    return fit(split, list(ITEM_MODELS.names), factors=ALS).with_weights(WEIGHTS)


@pytest.fixture(scope="module")
def events(spark: SparkSession) -> DataFrame:
    rows = [
        event(user=row.user_id, item=row.item_id, at=row.time.to_pydatetime(), order=str(row.basket),
              event_id=f"e{n}", item_position=0)
        for n, row in enumerate(_frame().itertuples())
    ]  # fmt: skip
    return events_frame(spark, rows).persist()


def _data(split: Split, blend: Blend) -> DataInProcess:
    everybody = users_as_cases(split.train, split.train.users, split.clock)
    return training_data(split.train, everybody, blend.artifact.recipe, split.clock)


@pytest.mark.parametrize("name", ITEM_MODELS.names)
@pytest.mark.parametrize("most_items", [10, 1000])
def test_a_fit_in_process_is_that_of_frames(
    spark: SparkSession, split: Split, blend: Blend, name: str, most_items: int
) -> None:
    data, limits = _data(split, blend), FitLimits(most_items, 1.0, 1)
    configuration: Any = blend.artifact.recipe.item_models[name]
    if name == "user_neighbours":
        configuration = replace(configuration, shoppers=25, items=3)
    model = ITEM_MODELS[name]
    if not isinstance(model, FitsInProcess):
        pytest.skip(f"{name} needs Spark")
    of_frames = model.fit(configuration, FramesOnDemand(data), limits)
    made = model.fit_in_process(configuration, data, limits)
    assert made.num_rows > 5
    assert made.sort_by("item_id").to_pylist() == of_frames.sort_by("item_id").to_pylist()


def test_factors_in_process_are_those_of_frames(spark: SparkSession, split: Split, blend: Blend) -> None:
    by = Factoriser(load_settings("test").factorisation, 1, print)
    data = _data(split, blend)
    made = by.fit_in_process(data.strengths(30.0, 0.0), ALS)
    of_frames = by.fit(FramesOnDemand(data).strengths(30.0, 0.0), ALS, with_users=False)
    assert made.column("item_id").to_pylist() == of_frames.items.column("item_id").to_pylist()
    ours, theirs = (np.array(table.column("factors").to_pylist()) for table in (made, of_frames.items))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    of_frames.forget()


def test_strengths_sequences_and_features_are_those_of_batch_runs(
    spark: SparkSession, split: Split, blend: Blend, events: DataFrame
) -> None:
    ours, known = _data(split, blend), known_before(events, CUT)
    signals = SignalsAt(known, CUT, load_settings("test").interactions, {None, 30.0})
    for days in (None, 30.0):
        theirs = signals.strengths(days, 0.0).toPandas().sort_values(["user_id", "item_id"], ignore_index=True)
        mine = ours.strengths(days, 0.0).to_pandas().sort_values(["user_id", "item_id"], ignore_index=True)
        assert mine[["user_id", "item_id"]].equals(theirs[["user_id", "item_id"]])
        np.testing.assert_allclose(mine["strength"], theirs["strength"], rtol=1e-12)
        assert (mine["first_time"].dt.tz_localize(None) == theirs["first_time"]).all()
    position = F.col("position").cast("double").alias("position")
    theirs = signals.sequences().select("user_id", "item_id", position).toArrow().sort_by(
        [(name, "ascending") for name in ("user_id", "item_id", "position")])  # fmt: skip
    mine = ours.sequences.sort_by([(name, "ascending") for name in ("user_id", "item_id", "position")])
    assert mine.to_pylist() == theirs.to_pylist()
    features = item_features(known, as_of=CUT, target="purchase").toArrow().sort_by("item_id")
    assert ours.features.to_pylist() == features.to_pylist()
    signals.forget()


@pytest.mark.parametrize("policy", [NEXT_BASKETS, NEW_ITEMS])
def test_lists_are_those_of_a_batch_run_with_the_same_recipe(
    spark: SparkSession, split: Split, blend: Blend, events: DataFrame, tmp_path: Path, policy: str
) -> None:
    settings, known = load_settings("test"), known_before(events, CUT)
    recipe = blend.artifact.recipe
    signals = SignalsAt(known, CUT, settings.interactions, recipe.half_lives())
    features = catalogue(known, as_of=CUT, target="purchase")
    data = TrainingData(signals.strengths, signals.sequences(), features, CUT)
    made = fitted(recipe, data, settings=settings, by=Factoriser(settings.factorisation, 1, print))
    made.artifact.save(tmp_path / "artifact")
    past = histories(known, max_events=1000, event_names=["purchase"])
    theirs = recommended(past, artifact=tmp_path / "artifact", clock=CUT, length=6, policy=policy).collect()
    ours = {row["user_id"]: row["items"] for row in blend.lists(split.train, k=6, policy=policy).table.to_pylist()}
    assert len(theirs) == len(ours) == 40
    for row in theirs:
        mine = ours[row["user_id"]]
        assert [entry["item_id"] for entry in mine] == [entry["item_id"] for entry in row["items"]]
        assert [entry["reason"] for entry in mine] == [entry["reason"] for entry in row["items"]]
        assert [entry["score"] for entry in mine] == pytest.approx([e["score"] for e in row["items"]], abs=1e-4)
    if made.als is not None:
        made.als.forget()
    signals.forget()


def _cases(rows: list[Any]) -> dict[str, tuple[list[tuple[Any, str]], list[str]]]:
    return {
        row["user_id"]: (
            sorted((entry["event_time"], entry["item_id"]) for entry in row["history"]), sorted(row["truth"]),
        )
        for row in rows
    }  # fmt: skip


def test_cases_of_a_time_split_are_those_of_a_window(split: Split, events: DataFrame) -> None:
    earlier = histories(known_before(events, CUT), max_events=1000, event_names=["purchase"])
    end = CUT + timedelta(days=1000)
    theirs = time_split_cases(earlier, events, target="purchase", start=CUT, end=end).collect()
    assert len(theirs) > 5
    assert _cases(split.cases.table.to_pylist()) == _cases(theirs)


def test_cases_of_last_baskets_are_those_of_a_window_of_everybody(events: DataFrame) -> None:
    split = last_basket(Interactions.of(_frame()))
    known = histories(events, max_events=1000, event_names=["purchase"])
    theirs = last_basket_cases(known, target="purchase", start=datetime(2019, 1, 1), visit_minutes=None).collect()
    # The window begins before all data, so that its clock differs: ages are the same.
    shift = split.clock - datetime(2019, 1, 1)
    moved = {
        user: ([(time + shift, item) for time, item in own], truth) for user, (own, truth) in _cases(theirs).items()
    }
    assert len(moved) == 40
    assert _cases(split.cases.table.to_pylist()) == moved


@pytest.mark.parametrize("protocol", ["time_split", "session_next_item"])
def test_baselines_are_those_of_batch_runs(spark: SparkSession, split: Split, protocol: str) -> None:
    near = Nearness(5, 2.0, 1.2)
    frame = _frame()
    if protocol == "session_next_item":
        split = session_next_item(Interactions.of(frame.assign(session=frame["user_id"])))
    strengths = _counts(spark, split.train.table.select(["user_id", "item_id"]))
    own = None
    if not split.cases.of_train:
        rows = [(row["user_id"], entry["item_id"]) for row in split.cases.table.to_pylist() for entry in row["history"]]
        own = _counts(spark, pa.table({"user_id": [row[0] for row in rows], "item_id": [row[1] for row in rows]}))
    users = spark.createDataFrame(split.cases.table.select(["user_id"]))
    chosen = [Baseline(name, "all" if name in ("popularity", "frequency") else "any") for name in BASELINES]
    made = baseline_lists(
        strengths, users, baselines=chosen, k=5, near_items=near, near_users=near, fill="any", own=own
    )
    theirs = {
        (row["task"], row["model"].partition("/")[0], row["user_id"]): [entry["item_id"] for entry in row["items"]]
        for row in made.collect()
    }
    for name in BASELINES:
        for policy in (NEXT_BASKETS, NEW_ITEMS):
            for user, items in baseline(name, split, k=5, policy=policy, neighbours=near).to_dict().items():
                assert items == theirs[policy, name, user]


def _counts(spark: SparkSession, rows: pa.Table) -> DataFrame:
    pairs = spark.createDataFrame(rows).groupBy("user_id", "item_id")
    return pairs.agg(F.count(F.lit(1)).cast("double").alias("all"), F.lit(1.0).alias("any"))
