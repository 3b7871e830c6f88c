"""Which policy the stream's lists follow, also where `recommend` ran before a recommender served."""

import pytest
from pyspark.sql import SparkSession

from freshet.core.errors import StateError
from freshet.core.records import write_record
from freshet.runs.job import Job
from freshet.runs.steps import REPLAY
from freshet.service.list_stream import Champion
from tests.streaming.service import served_job

pytestmark = pytest.mark.streaming


@pytest.fixture(scope="module")
def job(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A home in which a recommender serves; each test says what the steps have recorded."""
    return served_job(spark, tmp_path_factory.mktemp("served") / "home")


def recorded(job: Job, recommend: dict[str, str], repeat_share: float = 0.0) -> None:
    write_record(job.home.steps, "recommend", {"fingerprint": "none", **recommend})
    write_record(job.home.steps, "train-recommender", {"fingerprint": "none", "repeat_share": repeat_share})


def test_lists_of_the_stream_follow_the_policy_of_the_batch(job: Job) -> None:
    recorded(job, {"policy": "next_baskets"})
    assert Champion(job, 0)().policy == "next_baskets"


@pytest.mark.parametrize(("repeat_share", "policy"), [(0.05, "new_items"), (0.5, "next_baskets")])
def test_where_recommend_ran_before_a_recommender_served_the_policy_is_what_it_would_choose(
    job: Job, repeat_share: float, policy: str
) -> None:
    recorded(job, {}, repeat_share)
    assert Champion(job, 0)().policy == policy


def test_a_replay_without_lists_to_go_on_from_says_what_to_run(job: Job) -> None:
    recorded(job, {})
    windows = {"as_of": "2026-02-01", "cut": "2026-01-01", "validation_cut": "2025-12-01", "shortened": False}
    write_record(job.home.steps, "build", {"windows": windows})
    with pytest.raises(StateError, match=r"no recommender served at that time\. Run `freshet recommend` first"):
        REPLAY.work(job, "f1")
