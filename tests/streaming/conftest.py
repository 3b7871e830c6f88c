"""Fixtures of the stream's tests: one broker for all of them, shops of their own."""

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from freshet.runs.home import Home
from tests.streaming.broker import running_broker
from tests.streaming.compacted_shop import Shop
from tests.streaming.test_latest import batch_list


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap server of a real broker; tests take topics of their own."""
    with running_broker(tmp_path_factory.mktemp("kafka")) as address:
        yield address


@pytest.fixture
def shop(spark: SparkSession, home: Home) -> Iterator[Shop]:
    made = Shop(spark, home)
    made.written([batch_list(f"u{n}", "batch", 1 + n % 2) for n in range(0, 20, 2)])
    yield made
    made.compaction.close()
