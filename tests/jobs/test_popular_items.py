"""What shoppers without a list of their own are served, in a shop in which no model serves."""

import csv
import shutil
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from freshet.contracts import ITEMS_HISTORY, POPULAR_ITEMS
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.runner import NOT_BUILT, run_step
from freshet.runs.settings import load_settings
from freshet.runs.steps import BUILD, INGEST, RECOMMEND
from tests.factories import frame
from tests.jobs.small_shop import OVERRIDES, write_shop

pytestmark = [pytest.mark.jobs, pytest.mark.delta]


def test_popular_items_need_no_model_and_leave_out_unavailable_ones(spark: SparkSession, tmp_path: Path) -> None:
    mapping, data = write_shop(tmp_path)
    home = Home(tmp_path / "home").prepare()
    job = Job(spark, home, load_settings("test", OVERRIDES), source=mapping, input_path=data)
    run_step(INGEST, job)
    run_step(BUILD, job)
    cut = job.windows().cut
    bought = {
        (row["customer"], row["item"]) for row in csv.DictReader(data.open())
        if datetime.strptime(row["time"], "%Y-%m-%d %H:%M") < cut
    }  # fmt: skip
    shoppers = Counter(item for _, item in bought)
    expected = sorted(shoppers, key=lambda item: (-shoppers[item], item))
    just_before = cut - timedelta(minutes=1)
    state = {"item_id": expected[0], "valid_from": just_before, "known_at": just_before, "available": False}
    # As in a home that a stream alone has filled: no step has made the table.
    shutil.rmtree(job.warehouse.path(ITEMS_HISTORY))
    assert run_step(RECOMMEND, job).status == NOT_BUILT
    job.warehouse.append(frame(spark, ITEMS_HISTORY, [state]), ITEMS_HISTORY)
    result = run_step(RECOMMEND, job)
    assert (result.status, result.record["not_built"]) == (
        NOT_BUILT, "no model serves, so there is nothing to write but popular items",
    )  # fmt: skip
    rows = job.warehouse.read(POPULAR_ITEMS).where("scope = 'all' and window = 'all'").orderBy("position").collect()
    assert [row["item_id"] for row in rows] == expected[1 : 1 + len(rows)]
    assert len(rows) >= 10
