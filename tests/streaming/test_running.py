"""The end of a query: stopped in the middle of a micro-batch, or failing with a long error."""

import threading
import time
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from freshet.core.errors import StateError
from freshet.service.lifecycle.running import MicroBatches, RunningQuery, WithChores, started
from tests.streaming.service import until

pytestmark = pytest.mark.streaming


class Batches:
    """Micro-batches that take a minute, or fail with a megabyte of words."""

    def __init__(self, *, failing: bool) -> None:
        self.failure: Exception | None = None
        self.is_ending = False
        self.failing, self.begun = failing, threading.Event()

    def __call__(self, rows: DataFrame, _: int) -> None:
        try:
            if self.failing:
                raise StateError("x" * 1_000_000)
            self.begun.set()
            endless = rows.sparkSession.range(1 << 40).where(F.xxhash64("id") == 0)
            endless.write.format("noop").mode("overwrite").save()
        except Exception as error:
            self.failure = error
            raise


def query_of(spark: SparkSession, batches: MicroBatches, folder: Path) -> RunningQuery:
    rows = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 1).load()
    return started("q", rows, batches, checkpoint=folder / "checkpoint", every_seconds=0)


def test_a_query_stopped_in_the_middle_of_a_micro_batch_has_not_failed(
    spark: SparkSession, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    batches = Batches(failing=False)
    query = query_of(spark, batches, tmp_path)
    assert batches.begun.wait(timeout=60)
    query.stop(within_seconds=0.5)
    assert not query.query.isActive
    assert query.query.exception() is None
    assert "StackOverflowError" not in capfd.readouterr().err


def test_a_long_error_of_a_micro_batch_comes_back_as_it_was(
    spark: SparkSession, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    batches = Batches(failing=True)
    query = query_of(spark, batches, tmp_path)
    until(lambda: not query.query.isActive)
    with pytest.raises(StateError, match=r"x{1000}"):
        query.raise_failure()
    assert "the micro-batch failed: StateError" in str(query.query.exception())
    assert "StackOverflowError" not in capfd.readouterr().err


def test_a_query_that_never_rests_is_stopped_between_two_micro_batches(spark: SparkSession, tmp_path: Path) -> None:
    begun, done = list[int](), list[int]()
    some = threading.Event()

    def batch(_: DataFrame, number: int) -> None:
        begun.append(number)
        some.set()
        time.sleep(0.3)  # the work of a micro-batch: with none, there would be no moment to stop it in
        done.append(number)

    query = query_of(spark, WithChores(batch, ()), tmp_path)
    assert some.wait(timeout=60)
    before = len(begun)
    query.stop(within_seconds=30)
    assert begun == done
    assert len(begun) <= before + 1
    query.raise_failure()

    # What was left is taken by the next start, as if it had never been begun.
    again = query_of(spark, WithChores(batch, ()), tmp_path)
    until(lambda: len(done) > len(begun[:before]) + 1)
    again.stop(within_seconds=30)
    assert done == list(range(len(done)))
