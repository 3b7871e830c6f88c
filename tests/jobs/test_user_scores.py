"""Scores and segments by models that serve: by what they were trained with, not by the settings of today."""

import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer, VectorAssembler
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS, ITEM_FEATURES, POPULAR_ITEMS, USER_FEATURES, USER_SCORES
from freshet.core.records import write_record
from freshet.evaluation.splitting import Windows
from freshet.pipeline.train_propensity import write_scores
from freshet.registry.versions import ModelVersion
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.registered_models import PROPENSITY, SEGMENTS, registry
from freshet.runs.runner import DONE, run_step
from freshet.runs.settings import load_settings
from freshet.runs.steps import RECOMMEND
from tests.factories import days, event, frame, moment

pytestmark = [pytest.mark.jobs, pytest.mark.delta]

CUT, BEFORE = moment("2021-07-01"), moment("2021-06-01")
WINDOWS = Windows(as_of=moment("2021-08-01"), cut=CUT, validation_cut=BEFORE, shortened=False)


def purchase_model(column: str = "log_season_orders") -> PipelineModel:
    """A model by which the probability is 1 / ((1 + days since the last order) * (1 + orders of the season))."""
    rule = f"SELECT *, 1 - p AS p0, p AS p1 FROM (SELECT *, exp(-log_recency_days - {column}) AS p FROM __THIS__)"
    return PipelineModel(
        [SQLTransformer(statement=rule), VectorAssembler(inputCols=["p0", "p1"], outputCol="probability")]
    )


def serving(job: Job, name: str, model: PipelineModel, **trained_with: object) -> ModelVersion:
    """The model, registered and made champion."""
    with registry(job).training_run(name, params=trained_with, fingerprint=f"{name} of the test") as run:
        run.log_model(model, "model")
        version = registry(job).register(name, run, "model")
    return registry(job).promote(name, version.version)


def test_scores_are_those_of_the_model_for_customers_as_of_the_cut(spark: SparkSession, home: Home) -> None:
    job = Job(spark, home, load_settings("test"))
    horizon = 10  # the settings of today say another
    assert job.settings.propensity.horizon_days > horizon
    a_year_ago = CUT - days(365)
    job.warehouse.append(
        frame(spark, EVENTS, [
            event(user="seasonal", order="o1", at=a_year_ago),
            event(user="seasonal", order="o2", at=a_year_ago + days(horizon)),
            event(user="known later", order="o3", at=a_year_ago, received=CUT),
            event(user=None, order="o4", at=a_year_ago),
        ]),
        EVENTS,
    )  # fmt: skip
    job.warehouse.append(
        frame(spark, USER_FEATURES, [
            {"as_of": CUT, "user_id": "seasonal", "recency_days": 4.0},
            {"as_of": CUT, "user_id": "known later", "recency_days": 3.0},
            {"as_of": CUT, "user_id": "anon:visitor", "recency_days": 0.0},
            {"as_of": BEFORE, "user_id": "seasonal", "recency_days": 1.0},
        ]),
        USER_FEATURES,
    )  # fmt: skip
    earlier = {"as_of": BEFORE, "user_id": "gone", "purchase_probability": 0.5, "model_version": "1.0"}
    wrong = {"as_of": CUT, "user_id": "gone", "purchase_probability": 0.5, "model_version": "1.0"}
    job.warehouse.append(frame(spark, USER_SCORES, [earlier, wrong]), USER_SCORES)
    write_scores(job, serving(job, PROPENSITY, purchase_model(), horizon_days=horizon), WINDOWS)
    found = {(row["as_of"], row["user_id"]): row for row in job.warehouse.read(USER_SCORES).collect()}
    probabilities = {key: row["purchase_probability"] for key, row in found.items()}
    assert probabilities == {
        (CUT, "seasonal"): pytest.approx(0.1), (CUT, "known later"): pytest.approx(0.25), (BEFORE, "gone"): 0.5,
    }  # fmt: skip
    assert {row["model_version"] for key, row in found.items() if key[0] == CUT} == {"1.0"}
    assert {row["horizon_days"] for key, row in found.items() if key[0] == CUT} == {horizon}


def test_models_made_of_columns_that_are_gone_are_named_and_the_rest_is_written(
    spark: SparkSession, home: Home
) -> None:
    messages: list[str] = []
    job = Job(spark, home, load_settings("test"), notify=messages.append)
    moments = {name: f"{value:%Y-%m-%dT%H:%M:%S}" for name, value in
               (("as_of", WINDOWS.as_of), ("cut", CUT), ("validation_cut", BEFORE))}  # fmt: skip
    write_record(home.steps, "build", {"fingerprint": "none", "windows": {**moments, "shortened": []}})
    job.warehouse.append(frame(spark, EVENTS, [event(user="u", order="o", at=BEFORE)]), EVENTS)
    # A source that has no orders any more.
    job.warehouse.append(frame(spark, USER_FEATURES, [{"as_of": CUT, "user_id": "u", "orders": 0}]), USER_FEATURES)
    job.warehouse.append(frame(spark, ITEM_FEATURES, [{"as_of": CUT, "item_id": "i", "shoppers": 1}]), ITEM_FEATURES)
    named = SQLTransformer(statement="SELECT *, 0 AS segment_id, 'all' AS segment_name, log_orders FROM __THIS__")
    serving(job, SEGMENTS, PipelineModel([named]), columns=["log_recency_days", "log_orders", "log_monetary"])
    serving(job, PROPENSITY, purchase_model("log_of_another_product"), horizon_days=30)
    result = run_step(RECOMMEND, job)
    assert result.status == DONE
    assert job.warehouse.read(POPULAR_ITEMS).count() > 0
    assert result.record["not_written"] == {
        SEGMENTS: "version 1.0 was trained on log_recency_days, log_orders, log_monetary, which the data no longer "
        "have. Run `freshet train` and `freshet promote` again",
        PROPENSITY: "version 1.0 was trained on other columns than the data give. "
        "Run `freshet train` and `freshet promote` again",
    }
    assert [line for line in messages if "version 1.0 was trained on" in line] == [
        f"{name}: {reason}" for name, reason in result.record["not_written"].items()
    ]
