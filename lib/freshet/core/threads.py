"""Work that asks Spark for something, side by side in threads of the driver."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from pyspark import inheritable_thread_target
from pyspark.sql import SparkSession

In = TypeVar("In")
Out = TypeVar("Out")


def side_by_side(work: Callable[[In], Out], given: Sequence[In], *, spark: SparkSession, at_once: int) -> list[Out]:
    """`work` of each, in threads with the pool of this one: tasks of steps that run side by side take turns.

    In the order of `given`; raises what the first of them raised.
    """
    with ThreadPoolExecutor(at_once) as pool:
        # Each with properties of its own: Spark notes in them what a thread is at.
        return [one.result() for one in [pool.submit(inheritable_thread_target(spark)(work), each) for each in given]]


@contextmanager
def scheduler_pool(spark: SparkSession, pool: str) -> Iterator[None]:
    """Within, Spark's tasks of this thread take turns with those of other pools; in one pool the later ones wait."""
    context = spark.sparkContext
    before = context.getLocalProperty(_POOL)
    context.setLocalProperty(_POOL, pool)
    try:
        yield
    finally:
        context.setLocalProperty(_POOL, before)  # type: ignore[arg-type]  # nothing is none, as Spark documents it


_POOL = "spark.scheduler.pool"
