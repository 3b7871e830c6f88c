"""The only place that makes Spark sessions."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from freshet.core.errors import SetupError


def jar_paths(folder: Path) -> list[Path]:
    """The jars that scripts/setup.sh fetched. Raises SetupError if there are none."""
    jars = sorted(folder.glob("*.jar"))
    if not jars:
        raise SetupError("no jars for Delta found", where=str(folder), do="Run scripts/setup.sh once")
    return jars


def spark_session(
    app: str, *, jars: Path | None, master: str | None, options: dict[str, str] | None = None
) -> SparkSession:
    """A session with Delta, UTC and quiet logs; under spark-submit it uses the submitted master and jars.

    `jars` is the folder with the Delta jars for a session in this process; None if the launcher provides them. `master`
    is None if the launcher sets it. Raises SetupError if Java does not start.
    """
    # PySpark converts timestamps to the time zone of the process: use UTC whatever the machine's zone is.
    os.environ["TZ"] = "UTC"
    time.tzset()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(app)
    if master:
        builder = builder.master(master)
    local = {} if jars is None else local_classes(jars, (options or {}).get(_JAVA_OPTIONS, ""))
    if jars is not None and (master or "").startswith("local"):
        # Local only: on a cluster, daemons may start before they can import our modules.
        local["spark.python.daemon.module"] = "freshet.runs.worker_daemon"
        local.update(_LOCAL_SECURITY | {_UMASK: umask()})
    for key, value in {**_BASE_OPTIONS, **(options or {}), **local}.items():
        builder = builder.config(key, value)
    try:
        session = builder.getOrCreate()
    except PySparkRuntimeError as error:
        if error.getCondition() != "JAVA_GATEWAY_EXITED":
            raise
        advice = "Java's own message is above; check FRESHET_JAVA_OPTIONS and FRESHET_DRIVER_MEMORY"
        raise SetupError("Java did not start", do=advice) from None
    session.sparkContext.setLogLevel("ERROR")
    return session


def local_session(app: str, master: str, *, scratch: Path) -> SparkSession:
    """A session of the installed Spark for one home, with all of Spark's temporary files under `scratch`.

    Raises SetupError if Java is missing or too old, or the jars were not fetched.
    """
    check_java()
    scratch.mkdir(parents=True, exist_ok=True)
    options = {**_LOCAL_OPTIONS, "spark.local.dir": str(scratch)}
    log_settings = Path(__file__).parents[3] / "conf" / "spark" / "log4j2.properties"
    if log_settings.is_file():
        # Keeps the first lines of a starting JVM and the stack traces of failed tasks off the terminal.
        options[_JAVA_OPTIONS] += f" -Dlog4j2.configurationFile={log_settings.resolve().as_uri()}"
    jars = jars_folder()
    _check_local_files(jars)
    with _java_errors_to(scratch / JAVA_LOG):
        return spark_session(app, jars=jars, master=master, options={**options, **_LOCAL_FILES})


def ended_java(error: Exception) -> SetupError | None:
    """Why the Java process of this process's session has ended, with this error as one effect; None if it runs, or was
    not started here."""
    process = getattr(SparkContext._gateway, "proc", None)
    if process is None:
        return None
    # Python sees the closed connection a moment before the process has ended.
    is_lost = isinstance(error, (ConnectionError, EOFError, Py4JError)) and not isinstance(error, Py4JJavaError)
    try:
        code = process.wait(timeout=_JAVA_ENDS_SECONDS if is_lost else 0)
    except subprocess.TimeoutExpired:
        return None
    if code != _OUT_OF_MEMORY_CODE:
        return SetupError(
            "Java has ended", found=f"exit code {code}", do=f"See {JAVA_LOG} in the home's scratch folder"
        )
    given = os.environ.get(_MEMORY_VARIABLE, _USUAL_MEMORY)
    return SetupError(
        "Java ran out of memory", where=_MEMORY_VARIABLE, found=f"{given} of heap",
        do=f"Set {_MEMORY_VARIABLE} to more, for example to twice as much, and run again: no table is half-written",
    )  # fmt: skip


@contextmanager
def _java_errors_to(log: Path) -> Iterator[None]:
    """A JVM started within the block writes its standard error to `log`; the log is shown if it does not start.

    Warnings come from many libraries and in several ways (the JVM itself about incubator modules, netlib through
    java.util.logging, workers). Failures reach Python as exceptions, whatever Java writes.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    try:
        with log.open("wb") as file:
            os.dup2(file.fileno(), 2)
        yield
    except SetupError:
        os.write(terminal, log.read_bytes())
        raise
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def umask() -> str:
    """The umask of this process, in octal digits."""
    current = os.umask(0o077)
    os.umask(current)
    return f"{current:03o}"


def stream_master(master: str) -> str:
    """The master of a service: on this machine, two more concurrent tasks than there are cores.

    This leaves room for micro-batches while an intake or an item refresh runs in parallel: the operating system
    switches between tasks in milliseconds, Spark's scheduler only when a task has ended.
    """
    if master != "local[*]":
        return master
    return f"local[{_cores() + 2}]"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def task_cores(session: SparkSession) -> int:
    """Cores that one task may use: all of a local session, shared by parallel trials; else spark.task.cpus.

    On a cluster, Spark guarantees a task only spark.task.cpus cores (1 by default), however many the machine has.
    """
    context = session.sparkContext
    local = re.fullmatch(r"local(?:\[(\d+|\*)(?:,\d+)?\])?", str(context.master))
    if local is None:
        return int(context.getConf().get("spark.task.cpus", "1") or 1)
    if local[1] == "*":
        return _cores()
    return int(local[1] or 1)


def jars_folder() -> Path:
    """The folder of the fetched jars: FRESHET_JARS, else .jars in the checkout."""
    return Path(os.environ.get("FRESHET_JARS") or Path(__file__).parents[3] / ".jars")


def local_classes(jars: Path, java_options: str) -> dict[str, str]:
    """Options by which a JVM on this machine finds the jars and loads their classes from the archive."""
    # On the JVM's own class path Spark need not copy the jars, and their classes can come from the archive.
    options = {"spark.driver.extraClassPath": os.pathsep.join(str(jar.resolve()) for jar in jar_paths(jars))}
    archive = jars.resolve() / CLASS_ARCHIVE
    if archive.is_file():
        # A third less time until the first table is written. An archive of another Java or other jars is ignored,
        # without a warning of the JVM.
        java_options += f' "-XX:SharedArchiveFile={archive}" -Xlog:cds=off -Xlog:cds+dynamic=off'
    more = os.environ.get("FRESHET_JAVA_OPTIONS", "")
    return {**options, _JAVA_OPTIONS: f"{java_options} {more}".strip()}


def _check_local_files(jars: Path) -> None:
    """Raises SetupError if the jar for local files was not fetched."""
    if not any(path.name.startswith("hadoop-bare-naked-local-fs-") for path in jar_paths(jars)):
        raise SetupError("the jar for local files was not found", where=str(jars), do="Run scripts/setup.sh")


def check_java() -> None:
    """Raises SetupError unless Java 17 or newer is found in JAVA_HOME or on the PATH."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    advice = "Run scripts/setup.sh, or install a Java runtime 17 or newer"
    if java is None or not Path(java).is_file():
        raise SetupError("Java was not found", where=home or "PATH", expected="Java 17 or newer", do=advice)
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    number = re.search(r'version "(\d+)', answer)
    if number is None or int(number[1]) < _OLDEST_JAVA:
        found = answer.splitlines()[0] if answer else "no answer"
        raise SetupError("this Java is too old", where=java, expected="Java 17 or newer", found=found, do=advice)


_OLDEST_JAVA = 17

_JAVA_ENDS_SECONDS = 2.0

JAVA_LOG = "java.log"
"""File among Spark's temporary files with the standard error of Java."""

CLASS_ARCHIVE = "classes.jsa"
"""File next to the jars with the classes that a session loads, in their in-memory form; see class_archive.py."""

_JAVA_OPTIONS = "spark.driver.extraJavaOptions"

_MEMORY_VARIABLE, _USUAL_MEMORY = "FRESHET_DRIVER_MEMORY", "2g"

_OUT_OF_MEMORY_CODE = 3
"""Java's exit code with -XX:+ExitOnOutOfMemoryError."""

_UMASK = "spark.hadoop.fs.permissions.umask-mode"
"""Hadoop ignores the umask of the process and uses this setting, by default 022."""

_LOCAL_SECURITY = {
    # Loopback only: no other machine talks to this process.
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Every user of a machine can reach Spark's ports on loopback. In local mode Spark makes a random secret for each
    # application and keeps it in memory. Files that Spark writes to disk are protected by the rights of the file
    # system, so they are not encrypted.
    "spark.authenticate": "true",
    # Authenticates with the secret by a key exchange, and encrypts what is sent afterwards.
    "spark.network.crypto.enabled": "true",
}

_LOCAL_FILES = {
    # Without its native library Hadoop starts a process to set the rights of each file it writes: 20 per micro-batch,
    # half of its minimum duration. This small file system does it in Java, and is otherwise Hadoop's own.
    "spark.hadoop.fs.file.impl": "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem",
}

_LOCAL_OPTIONS = {
    # Driver and executors are one process here. 2 GB suffice for two years of a shop; raise it for larger data.
    "spark.driver.memory": os.environ.get(_MEMORY_VARIABLE, _USUAL_MEMORY),
    # Times are read and written in UTC, whatever the machine's zone is.
    # The parallel collector: on two cores, the concurrent one took 7 % of the time from the work itself. Without
    # memory Java ends: Spark goes on when one of its own threads is lost, and waits forever for what it should have
    # done.
    _JAVA_OPTIONS: "-Duser.timezone=UTC -XX:+UseParallelGC -XX:+ExitOnOutOfMemoryError",
}

_BASE_OPTIONS = {
    # Delta's reader, writer and SQL.
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # Times are compared with cut dates at midnight UTC.
    "spark.sql.session.timeZone": "UTC",
    # A shop's tables are small: the default of 200 shuffle partitions would be 200 tiny tasks. Clusters override it.
    "spark.sql.shuffle.partitions": "4",
    "spark.default.parallelism": "4",
    # Parallel steps take turns, each in its own pool; otherwise the tasks of one wait for all tasks of another.
    "spark.scheduler.mode": "FAIR",
    # No web server, no progress bar in the middle of our own output.
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # Python workers read and write Arrow batches; bounded batches bound their memory. The bound is in rows only: for a
    # bound in bytes Spark adds up all buffers after every row, 7 of the 8 s that sending 500,000 vectors takes.
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "5000",
    "spark.sql.execution.arrow.maxBytesPerBatch": "2147483647",
    # Bad values must become null and then rows of quarantine, through try_ functions; ANSI stays on to catch the rest.
    "spark.sql.ansi.enabled": "true",
    # Delta otherwise computes the state of a table of any size in 50 tasks, with the overhead of 50 tasks.
    "spark.databricks.delta.snapshotPartitions": "2",
    # Spark would record the Python line of every column expression, which doubles the cost of making one. User errors
    # are reported by our own messages, never by such a line.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    # DataFrames are persisted for a few uses only: choosing the best compression of each column would not pay off.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    # A task writes rows of few partitions, mostly of one: keep a file open for each instead of sorting whole rows.
    "spark.sql.maxConcurrentOutputFileWriters": "8",
    # Set explicitly so that runs are reproducible: files are split the same way everywhere.
    "spark.sql.files.maxPartitionBytes": "64m",
}
