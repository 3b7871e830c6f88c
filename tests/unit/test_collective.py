"""Sums over tasks: the same for all of them, whoever comes late, leaves or has no business here."""

import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from freshet.numeric.collective import Peers, over_partitions
from freshet.numeric.collective.frames import HELLO, receive, send
from freshet.numeric.collective.hub import Hub
from freshet.numeric.collective.peers import INTRODUCTION
from tests.gang import in_tasks


@pytest.mark.unit
@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_every_task_gets_the_same_sum_and_the_rows_in_order(tasks: int) -> None:
    def work(rank: int, peers: Peers) -> tuple[list[float], list[list[float]]]:
        summed = [peers.sum(np.array([10.0**rank, round_])) for round_ in range(3)]
        rows = peers.stack(np.full((rank, 2), float(rank)))
        return summed[-1].tolist(), rows.tolist()

    made = in_tasks(work, range(tasks))
    expected = [sum(10.0**rank for rank in range(tasks)), 2.0 * tasks]
    assert made == [(expected, [[float(rank)] * 2 for rank in range(tasks) for _ in range(rank)])] * tasks


@pytest.mark.unit
def test_who_waits_for_a_lost_task_is_reported() -> None:
    with Hub(bind="127.0.0.1", advertise="127.0.0.1") as hub:
        one, other = (hub.meeting.joined(rank, 2) for rank in range(2))
        other.close()
        with pytest.raises(ConnectionError):
            one.sum(np.ones(1))
        # The stage is tried again: its tasks are a group of their own.
        with ThreadPoolExecutor(2) as pool:
            again = [hub.meeting.joined(rank, 2) for rank in range(2)]
            assert [made.tolist() for made in pool.map(lambda peers: peers.sum(np.ones(1)), again)] == [[2.0], [2.0]]


@pytest.mark.unit
def test_a_task_that_was_tried_again_takes_the_place_of_its_first_try() -> None:
    with Hub(bind="127.0.0.1", advertise="127.0.0.1") as hub, ThreadPoolExecutor(2) as pool:
        lost = hub.meeting.joined(0, 2)
        both = [hub.meeting.joined(rank, 2) for rank in range(2)]
        assert [made.tolist() for made in pool.map(lambda peers: peers.sum(np.ones(1)), both)] == [[2.0], [2.0]]
        with pytest.raises(ConnectionError):
            lost.sum(np.ones(1))


@pytest.mark.unit
def test_a_stranger_is_shown_out() -> None:
    with Hub(bind="127.0.0.1", advertise="127.0.0.1") as hub:
        place = (hub.meeting.host, hub.meeting.port)
        for message in (INTRODUCTION.pack(b"?" * 32, 0, 1), b"too long" * 1000):
            with socket.create_connection(place, timeout=10) as stranger:
                send(stranger, HELLO, message)
                with pytest.raises(ConnectionError):
                    receive(stranger)


@pytest.mark.unit
def test_tasks_that_do_not_agree_are_ended() -> None:
    with Hub(bind="127.0.0.1", advertise="127.0.0.1") as hub, ThreadPoolExecutor(2) as pool:
        one, other = (hub.meeting.joined(rank, 2) for rank in range(2))
        calls = [pool.submit(one.sum, np.ones(1)), pool.submit(other.stack, np.ones((1, 1)))]
        for call in calls:
            with pytest.raises(ConnectionError):
                call.result(timeout=10)


def summed(rows: DataFrame) -> dict[str, list[float]]:
    def work(batches: object, peers: Peers) -> dict[str, np.ndarray]:
        numbers = [batch.column(0).to_numpy().sum() for batch in batches]  # type: ignore[attr-defined]
        return {"sum": peers.sum(np.array([float(sum(numbers))])), "tasks": np.array(float(peers.size))}

    return {name: values.tolist() for name, values in over_partitions(rows, work).items()}


@pytest.mark.parametrize(("partitions", "tasks"), [(1, 1), (2, 2), (5, 2)])
def test_as_many_tasks_as_partitions_or_room(spark: SparkSession, partitions: int, tasks: int) -> None:
    assert summed(spark.range(0, 100, 1, partitions)) == {"sum": [4950.0], "tasks": tasks}


def test_empty_partitions_and_no_rows_at_all(spark: SparkSession) -> None:
    assert summed(spark.range(0, 1, 1, 2)) == {"sum": [0.0], "tasks": 2.0}
    none = spark.createDataFrame(pa.table({"id": pa.array([], pa.int64())}))
    assert summed(none.repartition(2)) in ({}, {"sum": [0.0], "tasks": 2.0})


def test_an_error_of_the_work_ends_the_job(spark: SparkSession) -> None:
    def work(batches: object, peers: Peers) -> dict[str, np.ndarray]:
        peers.sum(np.zeros(1))
        if peers.rank == 1:
            raise ValueError("a mistake in one task")
        return {"sum": peers.sum(np.zeros(1))}

    with pytest.raises((PySparkException, Py4JJavaError), match=r"a mistake in one task|closed the connection"):
        over_partitions(spark.range(0, 10, 1, 2), work)
