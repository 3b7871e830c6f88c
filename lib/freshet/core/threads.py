"""Running Spark jobs in parallel from threads of the driver."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from pyspark import inheritable_thread_target
from pyspark.sql import SparkSession

In = TypeVar("In")
Out = TypeVar("Out")


def side_by_side(work: Callable[[In], Out], given: Sequence[In], *, spark: SparkSession, at_once: int) -> list[Out]:
    """Calls `work` with each of `given` in parallel threads, `at_once` at a time, in the scheduler pool of this thread.

    Returns the results in the order of `given`; raises the error of the first of them that failed.
    """
    with ThreadPoolExecutor(at_once) as pool:
        # Each thread has its own copy of the local properties, in which Spark keeps what a thread is doing.
        return [one.result() for one in [pool.submit(inheritable_thread_target(spark)(work), each) for each in given]]


@contextmanager
def scheduler_pool(spark: SparkSession, pool: str) -> Iterator[None]:
    """Within the block, tasks of this thread take turns with those of other pools; within a pool, later tasks wait."""
    context = spark.sparkContext
    before = context.getLocalProperty(_POOL)
    context.setLocalProperty(_POOL, pool)
    try:
        yield
    finally:
        context.setLocalProperty(_POOL, before)  # type: ignore[arg-type]  # None is allowed, as Spark documents


_POOL = "spark.scheduler.pool"
