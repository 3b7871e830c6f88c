"""Frames of any size written by Spark.

The whole frame is checked by its contract in the pass that writes it: a broken row stops the commit, and only then are
the rows counted again to list every mismatch.
"""

from pathlib import Path

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from freshet.contracts import TableContract
from freshet.contracts.row_rules import spark_problems, spark_rules
from freshet.core.errors import ContractError, listed
from freshet.tables.format.columns import has_commit, made_or_widened, table_folder
from freshet.tables.writers.delta_rs import has_transaction
from freshet.tables.writers.interface import Transaction

_GUARD = "freshet contract guard"
_REPLACE_MISMATCH = "DELTA_REPLACE_WHERE_MISMATCH"


class SparkWriter:
    """Writes to the tables of the warehouse in `folder`, each by the session of the frame that it is given.

    The first write creates a missing table. An append without rows makes a commit without files: whether a
    frame has rows is not known before it is computed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, rows: DataFrame, *, contract: TableContract, transaction: Transaction | None = None) -> bool:
        """As TableWriter."""
        options = {}
        if transaction is not None:
            if has_commit(self.folder, contract) and has_transaction(table_folder(self.folder, contract), transaction):
                return False
            # Checked above, so that the rows are not computed in vain; Spark checks once more when it commits.
            options = {"txnAppId": transaction.application, "txnVersion": str(transaction.number)}
        self._write(rows, contract, "append", options, keys_are_unique=False)
        return True

    def replace(
        self, rows: DataFrame, *, contract: TableContract, where: str | None = None, keys_are_unique: bool = False
    ) -> None:
        """As TableReplacer, or replaces only the rows that meet the SQL condition `where`; rows outside it raise
        ContractError.

        With `keys_are_unique` the caller guarantees that and saves sorting all rows by their key.
        """
        options = {"replaceWhere": where} if where else {}
        self._write(rows, contract, "overwrite", options, keys_are_unique=keys_are_unique)

    def _write(
        self, df: DataFrame, contract: TableContract, mode: str, options: dict[str, str], *, keys_are_unique: bool
    ) -> None:
        rows = contract.conform(df)
        sound = guarded(rows, contract, keys_are_unique=keys_are_unique)
        writer = sound.select(*_with_meanings(contract)).write.format("delta").mode(mode)
        if has_commit(self.folder, contract):
            made_or_widened(self.folder, contract)
        else:
            # The first write creates the table: an empty one, created before, would be one more commit to read.
            writer = writer.options(**contract.table_properties).partitionBy(*contract.partition_by)
        writer = writer.options(**options)
        try:
            writer.save(str(table_folder(self.folder, contract)))
        except (Py4JJavaError, PySparkException) as error:
            if _REPLACE_MISMATCH in str(error):
                raise ContractError(
                    "there are rows outside the condition of the replacement",
                    where=f"table {contract.name}",
                    expected=f"only rows with {options['replaceWhere']}",
                    do="Nothing was written",
                ) from None
            if _GUARD not in str(error):
                raise
            raise ContractError(
                listed(spark_problems(rows, contract)), where=f"table {contract.name}", do="Nothing was written"
            ) from None


def _with_meanings(contract: TableContract) -> list[Column]:
    return [F.col(field.name).alias(field.name, metadata=field.metadata) for field in contract.schema]


def guarded(df: DataFrame, contract: TableContract, *, keys_are_unique: bool) -> DataFrame:
    """`df`, failing when it is computed if a row breaks a rule of the contract or repeats a key."""
    broken = F.lit(False)
    if not keys_are_unique:
        broken = F.count(F.lit(1)).over(Window.partitionBy(*contract.key)) > 1
    for rule in spark_rules(contract).values():
        broken = broken | rule
    stop = F.raise_error(F.lit(_GUARD)).cast("boolean")
    # Not deterministic, so that it stays in place: before a filter, the guard would check rows that are left out.
    sound = F.when(broken, stop).otherwise(F.monotonically_increasing_id() >= 0)
    return df.withColumn("_sound", sound).where("_sound").drop("_sound")
