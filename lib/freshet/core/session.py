"""The one place that makes a Spark session."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from freshet.core.errors import SetupError


def jar_paths(folder: Path) -> list[Path]:
    """The jars that the set-up fetched. Raises SetupError when there are none."""
    jars = sorted(folder.glob("*.jar"))
    if not jars:
        raise SetupError("no jars for Delta found", where=str(folder), do="Run scripts/setup.sh once")
    return jars


def spark_session(
    app: str, *, jars: Path | None, master: str | None, options: dict[str, str] | None = None
) -> SparkSession:
    """A session with Delta, UTC and quiet logs; under spark-submit it adopts the submitted master and jars.

    `jars` is the folder with the Delta jars for a session in this process, None when the launcher gives them; `master`
    None likewise. Raises SetupError when Java does not start.
    """
    # Timestamps reach Python in the process's own zone: everything here is UTC, whatever the machine says.
    os.environ["TZ"] = "UTC"
    time.tzset()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(app)
    if master:
        builder = builder.master(master)
    local = {} if jars is None else local_classes(jars, (options or {}).get(_JAVA_OPTIONS, ""))
    if jars is not None and (master or "").startswith("local"):
        # On a cluster daemons may start before they can find our modules.
        local["spark.python.daemon.module"] = "freshet.runs.worker_daemon"
        local.update(_LOCAL_SECURITY | {_UMASK: umask()})
    for key, value in {**_BASE_OPTIONS, **(options or {}), **local}.items():
        builder = builder.config(key, value)
    try:
        session = builder.getOrCreate()
    except PySparkRuntimeError as error:
        if error.getCondition() != "JAVA_GATEWAY_EXITED":
            raise
        advice = "Java's own words stand above; look at FRESHET_JAVA_OPTIONS and FRESHET_DRIVER_MEMORY"
        raise SetupError("Java did not start", do=advice) from None
    session.sparkContext.setLogLevel("ERROR")
    return session


def local_session(app: str, master: str, *, scratch: Path) -> SparkSession:
    """A session of the installed Spark for one home, with all of Spark's temporary files under `scratch`.

    Raises SetupError when Java is missing or too old, or the jars were not fetched.
    """
    check_java()
    scratch.mkdir(parents=True, exist_ok=True)
    options = {**_LOCAL_OPTIONS, "spark.local.dir": str(scratch)}
    log_settings = Path(__file__).parents[3] / "conf" / "spark" / "log4j2.properties"
    if log_settings.is_file():
        # The first lines of a starting JVM, and stack traces of failed tasks, are no business of a terminal.
        options[_JAVA_OPTIONS] += f" -Dlog4j2.configurationFile={log_settings.resolve().as_uri()}"
    jars = jars_folder()
    _check_local_files(jars)
    with _java_writes_to(scratch / JAVA_LOG):
        return spark_session(app, jars=jars, master=master, options={**options, **_LOCAL_FILES})


@contextmanager
def _java_writes_to(log: Path) -> Iterator[None]:
    """Java that is started meanwhile has `log` as its standard error for all its life; shown where it does not start.

    Its warnings come from many libraries and ways (the JVM itself about incubator modules, netlib by java.util.logging,
    workers). What fails reaches Python as an exception, whatever Java writes.
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
    """The rights that this process withholds from the files it makes, in octal digits."""
    found = os.umask(0o077)
    os.umask(found)
    return f"{found:03o}"


def stream_master(master: str) -> str:
    """The master of a service: on this machine two tasks more at a time than there are cores.

    What runs next to the micro-batches, an intake or an item refresh, then leaves them a place; the system's own
    scheduler shares the cores out in milliseconds, Spark's not before a task has ended.
    """
    if master != "local[*]":
        return master
    return f"local[{_cores() + 2}]"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def task_cores(session: SparkSession) -> int:
    """Cores that one task may use: all of a local session, which trials side by side share; else spark.task.cpus.

    On a cluster Spark promises a task no more than spark.task.cpus (1 unless it was set), whatever the machine has.
    """
    context = session.sparkContext
    local = re.fullmatch(r"local(?:\[(\d+|\*)(?:,\d+)?\])?", str(context.master))
    if local is None:
        return int(context.getConf().get("spark.task.cpus", "1") or 1)
    if local[1] == "*":
        return _cores()
    return int(local[1] or 1)


def jars_folder() -> Path:
    """Where the set-up put the jars: FRESHET_JARS, else .jars of the checkout."""
    return Path(os.environ.get("FRESHET_JARS") or Path(__file__).parents[3] / ".jars")


def local_classes(jars: Path, java_options: str) -> dict[str, str]:
    """Options by which a JVM of this machine finds the jars, and starts from what the set-up noted of their classes."""
    # On the JVM's own class path, where Spark need not copy them, and where their classes can come from the archive.
    options = {"spark.driver.extraClassPath": os.pathsep.join(str(jar.resolve()) for jar in jar_paths(jars))}
    archive = jars.resolve() / CLASS_ARCHIVE
    if archive.is_file():
        # A third less time until the first table is written. An archive of another Java or other jars is not used,
        # and the JVM need not say so.
        java_options += f' "-XX:SharedArchiveFile={archive}" -Xlog:cds=off -Xlog:cds+dynamic=off'
    more = os.environ.get("FRESHET_JAVA_OPTIONS", "")
    return {**options, _JAVA_OPTIONS: f"{java_options} {more}".strip()}


def _check_local_files(jars: Path) -> None:
    """Raises SetupError when the jar for local files was not fetched."""
    if not any(path.name.startswith("hadoop-bare-naked-local-fs-") for path in jar_paths(jars)):
        raise SetupError("the jar for local files was not found", where=str(jars), do="Run scripts/setup.sh")


def check_java() -> None:
    """Raises SetupError unless Java 17 or newer is found by JAVA_HOME or on the PATH."""
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

JAVA_LOG = "java.log"
"""Among Spark's temporary files: what Java writes to standard error."""

CLASS_ARCHIVE = "classes.jsa"
"""Next to the jars: the classes that a session loads, as the JVM keeps them in memory; see class_archive.py."""

_JAVA_OPTIONS = "spark.driver.extraJavaOptions"

_UMASK = "spark.hadoop.fs.permissions.umask-mode"
"""Hadoop gives its files rights of its own, 022 withheld whatever the process's umask is."""

_LOCAL_SECURITY = {
    # Loopback only: no other machine talks to this process.
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Every user of a machine reaches Spark's ports on the loopback. In local mode Spark makes a secret at random for
    # each application and keeps it in its memory. Of the files that Spark leaves on disk the file system's rights take
    # care, so they are not encrypted.
    "spark.authenticate": "true",
    # The secret is proved by a key exchange, and what is sent afterwards cannot be read by who listens.
    "spark.network.crypto.enabled": "true",
}

_LOCAL_FILES = {
    # Without its native library Hadoop starts a process to set the rights of each file it writes: 20 in every
    # micro-batch, half of its least time. This small file system has Java do it, and is Hadoop's own otherwise.
    "spark.hadoop.fs.file.impl": "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem",
}

_LOCAL_OPTIONS = {
    # Driver and executors are one process here. 2 GB hold two years of a shop; larger data set it higher.
    "spark.driver.memory": os.environ.get("FRESHET_DRIVER_MEMORY", "2g"),
    # Times are read and written in UTC, whatever the machine says.
    # The parallel collector: of two cores, the concurrent one took seven seconds in a hundred from the work itself.
    _JAVA_OPTIONS: "-Duser.timezone=UTC -XX:+UseParallelGC",
}

_BASE_OPTIONS = {
    # Delta's reader, writer and SQL.
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # Times are compared with cut dates at midnight UTC.
    "spark.sql.session.timeZone": "UTC",
    # A shop's tables are small: 200 shuffle partitions would be 200 tiny tasks. Clusters override it.
    "spark.sql.shuffle.partitions": "4",
    "spark.default.parallelism": "4",
    # Steps that run side by side take turns, each in a pool of its own; else the tasks of one wait for all of another.
    "spark.scheduler.mode": "FAIR",
    # No web server, no progress bar in the middle of our own output.
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # Python workers read and write Arrow batches; bounded batches bound their memory. By rows alone: for a bound in
    # bytes Spark adds up all buffers after every single row, 7 of 8 s in which 500,000 vectors reach the workers.
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "5000",
    "spark.sql.execution.arrow.maxBytesPerBatch": "2147483647",
    # A bad value must become null and then a quarantine row, through try_ functions; ANSI stays on to catch the rest.
    "spark.sql.ansi.enabled": "true",
    # Delta otherwise computes a table's state in 50 tasks, at 50 tasks' overhead, whatever its size.
    "spark.databricks.delta.snapshotPartitions": "2",
    # Spark would note the line of Python behind every column expression, at twice the cost of making it. A user's
    # mistake is reported in words of our own, never by such a line.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    # Frames are kept for a few uses only: looking for the best compression of each column costs more than it saves.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    # A task writes rows of few partitions, mostly of one: it keeps a file open for each, instead of sorting whole rows.
    "spark.sql.maxConcurrentOutputFileWriters": "8",
    # Stated so that a run can be repeated: files are cut the same way everywhere.
    "spark.sql.files.maxPartitionBytes": "64m",
}
