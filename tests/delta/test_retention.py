"""Rows of old dates and of models that are gone leave their tables; what is read stays."""

import dataclasses
from datetime import datetime

import pytest
from pyspark.sql import SparkSession

from freshet.contracts import ITEM_FACTORS, POPULAR_ITEMS, USER_FACTORS, USER_FEATURES, USER_SCORES
from freshet.core.records import write_record
from freshet.runs.access import Access
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.registered_models import RECOMMENDER, registry
from freshet.runs.retention import retire_old_versions
from freshet.runs.runner import DONE, UP_TO_DATE, run_step
from freshet.runs.settings import load_settings
from freshet.runs.step import Step
from freshet.runs.steps import PROMOTE
from freshet.tables.leases import lease
from freshet.tables.maintenance.operations import partition_values
from tests.factories import frame

pytestmark = pytest.mark.delta


def job_in(spark: SparkSession, home: Home, *, dates: int = 2) -> Job:
    settings = load_settings("test")
    compaction = dataclasses.replace(settings.compaction, feature_dates=dates)
    return Job(spark, home, dataclasses.replace(settings, compaction=compaction))


def built(job: Job, cut: datetime) -> None:
    """A record of the build step, as of this cut."""
    windows = {name: cut.isoformat() for name in ("as_of", "cut", "validation_cut")} | {"shortened": []}
    write_record(job.home.steps, "build", {"fingerprint": "none", "windows": windows})


def scoring(cut: datetime) -> Step:
    """A step that writes a row of scores and one of features as of a cut, and popular items, which have no dates."""

    def work(job: Job, fingerprint: str) -> dict[str, int]:
        where = f"as_of = timestamp'{cut:%Y-%m-%d %H:%M:%S.%f}'"
        for table in (USER_SCORES, USER_FEATURES):
            job.warehouse.replace(frame(job.spark, table, [{"as_of": cut}]), table, where=where)
        job.warehouse.replace(frame(job.spark, POPULAR_ITEMS, [{"position": 1}]), POPULAR_ITEMS)
        return {}

    tables = (USER_SCORES, USER_FEATURES, POPULAR_ITEMS)
    return Step("recommend", (), tables, (), (), lambda _: {"cut": cut}, work)


def test_the_newest_dates_stay_and_that_of_the_last_build(spark: SparkSession, home: Home) -> None:
    job = job_in(spark, home)
    days = [datetime(2020, 1, day, 12, 30, 0, 250) for day in range(1, 5)]
    for day in days:
        built(job, day)
        assert run_step(scoring(day), job).status == DONE
    assert partition_values(job.warehouse, USER_SCORES, "as_of") == days[2:]
    # Again as of an old day, as requested: it stays although it is the oldest.
    built(job, days[0])
    assert [run_step(scoring(days[0]), job).status for _ in range(2)] == [DONE, UP_TO_DATE]
    for table in (USER_SCORES, USER_FEATURES):
        assert [row.as_of for row in job.warehouse.read(table).orderBy("as_of").collect()] == [days[0], *days[2:]]
    assert job.warehouse.read(POPULAR_ITEMS).count() == 1


def test_factors_of_versions_that_are_gone_go_with_them(spark: SparkSession, home: Home) -> None:
    job = job_in(spark, home)
    job = dataclasses.replace(
        job, settings=dataclasses.replace(
            job.settings, compaction=dataclasses.replace(job.settings.compaction, model_versions=1)
        ),
    )  # fmt: skip
    store = registry(job)
    for number in range(1, 4):
        with store.training_run(RECOMMENDER, params={}, fingerprint=f"f{number}") as run:
            run.log_text("{}", "scoring/recipe.json")
            version = store.register(RECOMMENDER, run, "scoring")
        for table in (ITEM_FACTORS, USER_FACTORS):
            rows = [{"model_version": version.model_version, "factors": [1.0]}]
            job.warehouse.append(frame(spark, table, rows), table)
    store.promote(RECOMMENDER, 2)
    job = job.within(Access(PROMOTE))
    with lease(home.locks, "table", USER_FACTORS.name):
        retire_old_versions(job)
    assert partition_values(job.warehouse, USER_FACTORS, "model_version") == ["1.0", "2.0", "3.0"]
    retire_old_versions(job)
    for table in (ITEM_FACTORS, USER_FACTORS):
        assert [row.model_version for row in job.warehouse.read(table).orderBy("model_version").collect()] == [
            "2.0", "3.0",
        ]  # fmt: skip
