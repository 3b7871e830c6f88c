"""Shared fixtures: one small Spark session, an empty home for each test, the optional real data sets."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from pyspark.sql import SparkSession

from freshet.core.session import spark_session
from freshet.runs.home import Home
from freshet.tables.warehouse import Warehouse

REPOSITORY = Path(__file__).parents[1]

# The main module of a process of xdist has no file, which pyspark takes for a run of its own doctests and ends.
if not hasattr(sys.modules["__main__"], "__file__"):
    sys.modules["__main__"].__file__ = __file__

# Of the sessions that tests start in processes of their own: a short life is spent in compiling, which the quick
# compiler alone does in half the time. The session of all tests lives for long enough to get its work back.
# With one compiler the JVM keeps a fifth of the usual room for compiled code, which the steps of a job fill up.
QUICK_JAVA = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"
os.environ["FRESHET_JAVA_OPTIONS"] = QUICK_JAVA

# The same examples in every run, however slow the machine is.
settings.register_profile("freshet", deadline=None, derandomize=True)
settings.load_profile("freshet")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one session of all tests; what a test needs differently it must not set here but undo itself."""
    folder = tmp_path_factory.mktemp("spark")
    options = {
        # Test frames have a few rows: more partitions are only more tasks.
        "spark.sql.shuffle.partitions": "2",
        "spark.default.parallelism": "2",
        # Of the code of 100 plans, as Spark has it, that of the next test of a kind would be gone.
        "spark.sql.codegen.cache.maxEntries": "2000",
        # Enough for the test frames, and little compared with whatever else the machine runs.
        "spark.driver.memory": "1g",
        # Tables by name and Derby files stay out of the repository. One collector thread is enough.
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.driver.extraJavaOptions": f"-XX:+UseSerialGC -Dderby.system.home={folder}",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FRESHET_JAVA_OPTIONS")
        session = spark_session("freshet-tests", jars=REPOSITORY / ".jars", master="local[2]", options=options)
    yield session
    session.stop()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with its folders and nothing in them."""
    return Home(tmp_path / "home").prepare()


@pytest.fixture
def warehouse(spark: SparkSession, home: Home) -> Warehouse:
    """The warehouse of `home`, without any table."""
    return Warehouse(spark, home.warehouse)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Where real data sets lie: FRESHET_TEST_DATA, else shared/data next to the repository. May be absent."""
    return Path(os.environ.get("FRESHET_TEST_DATA") or REPOSITORY.parent / "shared" / "data")


@pytest.fixture(scope="session")
def real_data(data_folder: Path) -> Callable[[str], Path]:
    """`real_data(name)`: the file or folder `name` of the real data sets; skips when it is absent."""

    def path_of(name: str) -> Path:
        path = data_folder / name
        if not path.exists():
            pytest.skip(f"real data set {name} is not in {data_folder} (set FRESHET_TEST_DATA)")
        return path

    return path_of
