"""A table as a stream of the rows that are appended to it."""

from pyspark.sql import DataFrame, SparkSession

from freshet.contracts import TableContract
from freshet.tables.warehouse import Warehouse


def appended_rows(
    session: SparkSession, warehouse: Warehouse, contract: TableContract, *, after: int, most_files: int
) -> DataFrame:
    """Rows appended after version `after` of the table, at most `most_files` files of them in a micro-batch.

    Commits that also remove rows (a replacement, a deletion) are skipped completely; packing files is no change. The
    table must exist. The stream ends with an error if it was stopped for longer than the table keeps its log.
    """
    # The next version may not exist yet: without this, a stream could not start at the end of an unchanged table.
    session.conf.set("spark.databricks.delta.changeDataFeed.timestampOutOfRange.enabled", "true")
    reader = session.readStream.format("delta").option("startingVersion", after + 1)
    reader = reader.option("skipChangeCommits", "true").option("maxFilesPerTrigger", most_files)
    return contract.conform(reader.load(warehouse.path(contract)))
