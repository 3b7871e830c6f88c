"""A shop where a ranker gains: from the search over the gate to lists, figures and the report."""

import random
from datetime import datetime, timedelta

import pytest
from pyspark.sql import SparkSession

from freshet.contracts import EVALUATION_RESULTS
from freshet.ranking.artifact import Artifact
from freshet.report.collect.page import recipe
from freshet.report.collect.sources import Sources
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.registered_models import RECOMMENDER, champion
from freshet.runs.registry import main_steps
from freshet.runs.runner import DONE, StepResult, run_step
from freshet.runs.settings import load_settings
from freshet.runs.steps import PROMOTE, TRAIN_PROPENSITY, TRAIN_RECOMMENDER, TRAIN_SEGMENTS
from tests.jobs.small_shop import OVERRIDES, write_mapping

pytestmark = [pytest.mark.jobs, pytest.mark.delta]

SETTINGS = (*OVERRIDES, "ranker.min_shoppers=50", "ranker.min_leaf_rows=20", "ranker.trees=[25]")
START, SPAN = datetime(2025, 1, 1, 9), 300
STEPS = ("ingest", "build", TRAIN_RECOMMENDER.name, PROMOTE.name, "recommend", "evaluate")


def punctual_buyers() -> list[str]:
    """Shoppers who buy each of their items at a pace of its own, for some time: what is due will be bought.

    An item that was often bought may have been given up, and one that was bought long ago may be due. So neither how
    often nor how long ago says by itself what comes next.
    """
    draw = random.Random(3)
    rows = ["order,customer,item,time,pieces,price"]
    for customer in range(90):
        for item in draw.sample(range(40), 10):
            pace = draw.choice((15, 15, 75))
            first, ends = draw.randrange(0, 120), SPAN if draw.random() < 0.5 else draw.randrange(120, SPAN)
            for day in range(first, ends, pace):
                moment = START + timedelta(days=day, minutes=customer)
                rows.append(f"o{customer}-{day},c{customer},i{item},{moment:%Y-%m-%d %H:%M},1,5")
    return rows


@pytest.fixture(scope="module")
def finished(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, dict[str, StepResult]]:
    folder = tmp_path_factory.mktemp("shop")
    mapping, data = write_mapping(folder), folder / "orders.csv"
    data.write_text("\n".join(punctual_buyers()) + "\n")
    job = Job(spark, Home(folder / "home").prepare(), load_settings("test", SETTINGS), source=mapping, input_path=data)
    steps = [step for step in main_steps() if step not in (TRAIN_PROPENSITY, TRAIN_SEGMENTS) and step.name in STEPS]
    return job, {step.name: run_step(step, job) for step in steps}


def test_a_ranker_serves_and_the_report_names_it(finished: tuple[Job, dict[str, StepResult]]) -> None:
    job, results = finished
    assert {name: result.status for name, result in results.items()} == dict.fromkeys(STEPS, DONE)
    version = champion(job, RECOMMENDER)
    assert version is not None
    ranker = Artifact.load(version.folder).recipe.rankers["next_baskets"]
    assert len(ranker.trees) == 25
    assert len(ranker.folds) == job.settings.ranker.folds
    facts = recipe(Sources(job.home, {}, 10)).facts  # type: ignore[union-attr]
    assert ("ranker: next_baskets", ranker.description) in facts


def test_the_gate_sees_what_cross_validation_saw(finished: tuple[Job, dict[str, StepResult]]) -> None:
    # With trees that know the judged shoppers the gate would see far more.
    job, results = finished
    expected = results[TRAIN_RECOMMENDER.name].record["ndcg"]["next_baskets"]
    rows = job.warehouse.read(EVALUATION_RESULTS).where(
        "split = 'validation' and task = 'next_baskets' and metric = 'ndcg' and k = 10 and model = 'challenger'"
    )
    assert [row["value"] for row in rows.collect()] == [pytest.approx(expected, abs=2e-3)]


def test_what_lists_show_is_measured_for_all_that_is_judged(finished: tuple[Job, dict[str, StepResult]]) -> None:
    job, _ = finished
    rows = job.warehouse.read(EVALUATION_RESULTS).where("split = 'test' and k = 10 and task = 'next_baskets'").collect()
    by_metric = {
        metric: {row["model"]: row["value"] for row in rows if row["metric"] == metric}
        for metric in ("ndcg", "diversity", "novelty", "popularity", "exposure_gini")
    }
    assert "served" in by_metric["ndcg"]
    assert all(set(models) == set(by_metric["ndcg"]) for models in by_metric.values())
    # One list for everybody shows less of the shop than lists of one's own.
    assert by_metric["exposure_gini"]["popularity/all"] > by_metric["exposure_gini"]["served"]
