"""Scores of a serving purchase model, which the designed shops refuse: written as of the cut, for customers alone."""

from pathlib import Path

import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer, VectorAssembler
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS, USER_FEATURES, USER_SCORES
from freshet.evaluation.splitting import Windows
from freshet.pipeline.train_propensity import write_scores
from freshet.registry.versions import ModelVersion
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.registered_models import PROPENSITY
from freshet.runs.settings import load_settings
from tests.factories import days, event, frame, moment

pytestmark = [pytest.mark.jobs, pytest.mark.delta]

CUT, BEFORE = moment("2021-07-01"), moment("2021-06-01")
WINDOWS = Windows(as_of=moment("2021-08-01"), cut=CUT, validation_cut=BEFORE, shortened=False)


def version_of(folder: Path, number: int) -> ModelVersion:
    """A saved model by which the probability is 1 / ((1 + days since the last order) * (1 + orders of the season))."""
    rule = (
        "SELECT *, 1 - p AS p0, p AS p1 FROM (SELECT *, exp(-log_recency_days - log_season_orders) AS p FROM __THIS__)"
    )
    model = PipelineModel(
        [SQLTransformer(statement=rule), VectorAssembler(inputCols=["p0", "p1"], outputCol="probability")]
    )
    model.write().overwrite().save(str(folder / "sparkml"))
    return ModelVersion(PROPENSITY, number, "run", "fingerprint", folder, generation=1)


def test_scores_are_those_of_the_model_for_customers_as_of_the_cut(
    spark: SparkSession, home: Home, tmp_path: Path
) -> None:
    job = Job(spark, home, load_settings("test"))
    horizon = job.settings.propensity.horizon_days
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
    write_scores(job, version_of(tmp_path / "model", 3), WINDOWS)
    found = {(row["as_of"], row["user_id"]): row for row in job.warehouse.read(USER_SCORES).collect()}
    probabilities = {key: row["purchase_probability"] for key, row in found.items()}
    assert probabilities == {
        (CUT, "seasonal"): pytest.approx(0.1), (CUT, "known later"): pytest.approx(0.25), (BEFORE, "gone"): 0.5,
    }  # fmt: skip
    assert {row["model_version"] for key, row in found.items() if key[0] == CUT} == {"3.0"}
    assert {row["horizon_days"] for key, row in found.items() if key[0] == CUT} == {horizon}
