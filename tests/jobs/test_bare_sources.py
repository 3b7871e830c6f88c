"""All steps on sources that lack something: what can be built is built, what cannot is named with its reason."""

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from freshet.contracts import EVALUATION_RESULTS
from freshet.evaluation.protocols import NEXT_IN_SESSION
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.registry import main_steps
from freshet.runs.runner import DONE, run_step
from freshet.runs.settings import load_settings

pytestmark = [pytest.mark.jobs, pytest.mark.delta]

REPO = Path(__file__).parents[2]

NOT_BUILT = {
    "cdnow": {
        "train-recommender": "the source has no items",
        "train-propensity": "104 of 393 training rows bought within 30 days; expected at least 200",
        "replay": "no recommender serves",
        "evaluate": "no recommender serves",
    },
    "taobao_userbehavior_2h": {
        "train-propensity": "the data span 0.1 days",
        "train-segments": "40 shoppers are too few",
    },
    "eshop_clothing_2008": {
        "train-propensity": "all shoppers are anonymous",
        "train-segments": "29 shoppers are too few",
    },
}
"""By source the steps that end without a table, and why: no items; two hours; anonymous sessions without purchases."""

TABLES = {
    "cdnow": {"user_segments", "segment_profiles"},
    "taobao_userbehavior_2h": {"recommendations", "recommendation_updates", "similar_items", "popular_items"},
    "eshop_clothing_2008": {
        "recommendations",
        "recommendation_updates",
        "similar_items",
        "popular_items",
        "evaluation_results",
    },
}


def _figures(job: Job) -> list[dict[str, Any]]:
    """All rows of evaluation_results, of which a source without items has none."""
    if not job.warehouse.exists(EVALUATION_RESULTS):
        return []
    return [row.asDict() for row in job.warehouse.read(EVALUATION_RESULTS).collect()]


@pytest.mark.parametrize("name", sorted(NOT_BUILT))
def test_all_steps_go_through(spark: SparkSession, tmp_path: Path, name: str) -> None:
    data = next((REPO / "tests/fixtures/sources").glob(f"{name}*"))
    home = Home(tmp_path / "home").prepare()
    job = Job(
        spark, home, load_settings("test"), source=REPO / "conf/sources" / f"{name}.toml", input_path=data
    )  # fmt: skip
    results = {step.name: run_step(step, job) for step in main_steps()}
    reasons = {step: result.record["not_built"] for step, result in results.items() if result.status != DONE}
    assert reasons.keys() == NOT_BUILT[name].keys()
    assert [step for step, reason in NOT_BUILT[name].items() if reason not in reasons[step]] == []
    assert {folder.name for folder in home.warehouse.iterdir()} >= TABLES[name]
    judged = {"validation", "test"} if name == "eshop_clothing_2008" else set()
    assert {row["split"] for row in _figures(job) if row["protocol"] == NEXT_IN_SESSION} == judged
    # Whoever opens the report learns the same.
    page = (home.root / "report" / "index.html").read_text(encoding="utf-8")
    assert [step for step, reason in NOT_BUILT[name].items() if reason not in page] == []
    # On validation and on the test days.
    assert page.count("from everything before it") == len(judged)
