"""How the JVM of a local session is started."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from py4j.protocol import Py4JNetworkError
from pyspark import SparkContext
from pyspark.sql import SparkSession

from freshet.core.errors import SetupError
from freshet.core.session import CLASS_ARCHIVE, JAVA_LOG, _java_errors_to, ended_java
from tests.conftest import REPOSITORY

ASKED = """
import sys
from pathlib import Path
from types import SimpleNamespace
from freshet.core.session import local_session
spark = local_session("asked", "local[1]", scratch=Path(sys.argv[1]))
jvm = spark._jvm
print(list(jvm.java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments()))
print(jvm.java.lang.Class.forName("io.delta.tables.DeltaTable").getClassLoader().toString())
spark.stop()
"""


def jvm_output(jars: Path, scratch: Path) -> tuple[str, str]:
    """What a session with the jars of a folder writes about its JVM: standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-c", ASKED, str(scratch)], capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "lib"), "FRESHET_JARS": str(jars)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def jars(tmp_path: Path) -> Path:
    """A folder, with a space in its name, of copies of the jars: to the JVM they are other jars."""
    folder = tmp_path / "some jars"
    folder.mkdir()
    for jar in (REPOSITORY / ".jars").glob("*.jar"):
        shutil.copy(jar, folder)
    return folder


def test_jars_are_on_the_class_path_of_the_jvm_itself(jars: Path, tmp_path: Path) -> None:
    output, _ = jvm_output(jars, tmp_path / "scratch")
    assert "ClassLoaders$AppClassLoader" in output
    assert "SharedArchiveFile" not in output


@pytest.mark.parametrize("kind", ["damaged", "of other jars"])
def test_an_archive_of_classes_that_does_not_fit_is_passed_over_without_a_word(
    jars: Path, tmp_path: Path, kind: str
) -> None:
    made = REPOSITORY / ".jars" / CLASS_ARCHIVE
    if kind == "damaged":
        (jars / CLASS_ARCHIVE).write_bytes(b"made by another Java" * 1000)
    elif made.is_file():
        (jars / CLASS_ARCHIVE).symlink_to(made)
    else:
        pytest.skip(f"there is no {made}: scripts/setup.sh makes it")
    output, errors = jvm_output(jars, tmp_path / "scratch")
    assert f"-XX:SharedArchiveFile={jars / CLASS_ARCHIVE}" in output
    # The JVM's own warnings would stand among what a program reads.
    assert len(output.splitlines()) == 2, output
    assert errors == ""


def test_workers_begin_with_our_modules_loaded(spark: SparkSession) -> None:
    def loaded(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        names = [name for name in ("freshet.ranking.lists.shopper_lists", "numba", "mlflow") if name in sys.modules]
        yield from (pa.RecordBatch.from_pydict({"name": names}) for _ in batches)

    found = spark.range(1).mapInArrow(loaded, "name string").toArrow().column("name").to_pylist()
    assert found == ["freshet.ranking.lists.shopper_lists", "numba"]


def test_options_that_java_refuses_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHET_JAVA_OPTIONS", "-XX:+UseSerialGC")  # besides the one that a local session has
    (tmp_path / "steps").mkdir()
    words = [sys.executable, "-c", "from freshet.cli import main; main()", "build", "--home", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "lib")}
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert done.returncode == 1
    ours = [line for line in done.stderr.splitlines() if line.startswith("freshet:")]
    assert len(ours) == 1, done.stderr
    assert "Multiple garbage collectors selected" in done.stdout  # Java's own words
    assert "Java did not start" in ours[0]
    assert "FRESHET_JAVA_OPTIONS" in ours[0]


def test_what_java_writes_is_in_its_log_alone_unless_it_does_not_start(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / JAVA_LOG
    with _java_errors_to(log):
        subprocess.run(["sh", "-c", "echo WARNING >&2"], check=True)
    os.write(2, b"ours\n")
    assert (capfd.readouterr().err, log.read_text()) == ("ours\n", "WARNING\n")

    def fails() -> None:
        with _java_errors_to(log):
            subprocess.run(["sh", "-c", "echo Error: no memory >&2"], check=True)
            raise SetupError("Java did not start")

    with pytest.raises(SetupError):
        fails()
    assert capfd.readouterr().err == "Error: no memory\n"


EXHAUSTING = """
import sys
from pathlib import Path
from types import SimpleNamespace
import pyarrow as pa
from freshet.cli.errors import run_or_exit
from freshet.cli.opening import opened_job

def rows(batches):
    for _ in batches:
        pass
    for _ in range(60):
        yield pa.RecordBatch.from_pydict({"filling": [bytes(20_000_000)]})

def work():
    with opened_job(Path(sys.argv[1]), None, (), "local[1]") as job:
        job.spark.range(1).repartition(1).mapInArrow(rows, "filling binary").persist().toArrow()

run_or_exit(work)
"""


def test_java_without_memory_ends_with_one_line(tmp_path: Path) -> None:
    # Without the option of the session, Spark loses a thread here and the command may wait forever.
    done = subprocess.run(
        [sys.executable, "-c", EXHAUSTING, str(tmp_path / "home")], capture_output=True, text=True, check=False,
        timeout=180, env={**os.environ, "PYTHONPATH": str(REPOSITORY / "lib"), "FRESHET_DRIVER_MEMORY": "512m"},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "freshet: FRESHET_DRIVER_MEMORY: Java ran out of memory; found 512m of heap. Set FRESHET_DRIVER_MEMORY to "
        "more, for example to twice as much, and run again: no table is half-written"
    ]


@pytest.mark.parametrize("error", [ConnectionRefusedError(), Py4JNetworkError("lost"), ValueError("a mistake")])
def test_an_error_while_java_runs_is_no_end_of_java(spark: SparkSession, error: Exception) -> None:
    assert spark.range(1).count() == 1
    assert ended_java(error) is None


@pytest.mark.parametrize(("code", "words"), [(3, "Java ran out of memory"), (137, "found exit code 137")])
def test_the_end_of_java_is_found_whatever_the_error_was(
    code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"])
    ended.wait()
    monkeypatch.setattr(SparkContext, "_gateway", SimpleNamespace(proc=ended))
    for error in (ConnectionRefusedError(), ValueError("an effect")):
        failure = ended_java(error)
        assert failure is not None
        assert words in failure.line()
