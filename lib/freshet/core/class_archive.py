"""python -m freshet.core.class_archive FOLDER: archives the classes that a session loads, next to the jars in FOLDER.

Spark loads some 15,000 classes before it has written its first table, and every process verifies each of them again.
The JVM can archive them in their in-memory form (application class-data sharing, JEP 350), and then starts a third
faster. The archive is valid for one Java and these jars; others ignore it, and everything works as without it.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from freshet.core.session import CLASS_ARCHIVE, local_session


def write_class_archive(jars: Path, scratch: Path) -> Path:
    """Makes the archive from a session that does a little of everything. Returns the file; replaces an earlier one."""
    new, archive = scratch / CLASS_ARCHIVE, jars / CLASS_ARCHIVE
    archive.unlink(missing_ok=True)
    os.environ["FRESHET_JARS"] = str(jars)
    os.environ["FRESHET_JAVA_OPTIONS"] = f'"-XX:ArchiveClassesAtExit={new}" -XX:TieredStopAtLevel=1'
    spark = local_session("freshet-classes", "local[2]", scratch=scratch / "spark")
    _exercise(spark, scratch)
    gateway = spark.sparkContext._gateway
    assert gateway is not None
    spark.stop()
    gateway.shutdown()
    # The JVM exits when its input is closed, and writes the archive before that.
    gateway.proc.stdin.close()
    gateway.proc.wait(timeout=300)
    return new.replace(archive)


def _exercise(spark: SparkSession, scratch: Path) -> None:
    """Does what most jobs do: tables, joins, windows, Arrow batches, JSON, micro-batches."""
    table, lines, streamed = (str(scratch / name) for name in ("table", "lines", "streamed"))
    rows = spark.range(100).select(
        F.concat(F.lit("u"), F.col("id") % 7).alias("user"),
        F.col("id").cast("double").alias("value"),
        F.timestamp_seconds("id").alias("time"),
        F.array(F.struct(F.lit("a").alias("name"))).alias("items"),
    )
    for _ in range(2):
        rows.write.format("delta").mode("overwrite").save(table)
    rows.write.format("delta").mode("append").save(table)
    stored = spark.read.format("delta").load(table)
    totals = (F.max("time").alias("newest"), F.collect_list("value").alias("values"))
    counted = stored.groupBy("user").agg(*totals)
    joined = stored.join(counted, on="user", how="left").join(F.broadcast(counted), on="user", how="left_semi")
    newest = F.row_number().over(Window.partitionBy("user").orderBy(F.desc("time"), "value"))
    joined.withColumn("place", newest).where("place < 3").persist().count()
    stored.select("user", "value").mapInArrow(_unchanged, "user string, value double").toArrow()
    stored.write.mode("overwrite").json(lines)
    stream = spark.readStream.schema(stored.schema).json(lines).withWatermark("time", "1 hour")
    states = stream.groupBy("user").agg(*totals)

    def write(batch: DataFrame, _: int) -> None:
        batch.write.format("delta").mode("append").save(streamed)

    query = states.writeStream.outputMode("update").trigger(availableNow=True).foreachBatch(write)
    query.option("checkpointLocation", str(scratch / "checkpoint")).start().awaitTermination()


def _unchanged(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    return batches


if __name__ == "__main__":
    folder_of_jars = Path(sys.argv[1]).resolve()
    # On the same disk as the jars: the finished archive is moved there in one step.
    with tempfile.TemporaryDirectory(dir=folder_of_jars) as folder:
        write_class_archive(folder_of_jars, Path(folder))
