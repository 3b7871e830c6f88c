"""Delta tables by contract: create, read at a version, replace, append.

A table of an earlier release is read with nulls for columns that were added since, and gets them with the next write. A
table that lacks a column that may not be null, or has one that is not in the contract, is refused.
"""

from pathlib import Path

from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from freshet.contracts import TableContract
from freshet.core.errors import StateError
from freshet.tables.format.columns import has_commit, made_or_widened, missing_columns, table_folder
from freshet.tables.writers.spark import SparkWriter

_RUN_EARLIER = "Run the earlier steps first: `freshet status` shows which have run"


class Warehouse:
    """The Delta tables of one home."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.folder = spark, folder

    def path(self, contract: TableContract) -> str:
        return str(table_folder(self.folder, contract))

    def exists(self, contract: TableContract) -> bool:
        """Whether the table has a commit; folders left by a creation that was killed before its commit do not count."""
        return has_commit(self.folder, contract)

    def version(self, contract: TableContract) -> int:
        """The newest version of the table; -1 when there is no table."""
        return DeltaTable(self.path(contract)).version() if self.exists(contract) else -1

    def require(self, contract: TableContract) -> None:
        """Raises StateError when the table does not exist, ContractError when its columns were changed."""
        self._must_exist(contract)
        missing_columns(DeltaTable(self.path(contract)), contract)

    def read(self, contract: TableContract, version: int | None = None) -> DataFrame:
        """The table, at a version when one is given.

        Columns that an earlier release did not write are null. Raises StateError when it does not exist, ContractError
        when its columns were changed.
        """
        self._must_exist(contract)
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        rows = reader.load(self.path(contract))
        missing = contract.addable(rows.schema)
        return contract.conform(rows.withColumns({c.name: F.lit(None).cast(c.type) for c in missing}))

    def create(self, contract: TableContract) -> None:
        """Creates the empty table, or adds the new columns to one of an earlier release; does nothing to a current one.
        Raises ContractError when its columns were changed by hand."""
        made_or_widened(self.folder, contract)

    def _must_exist(self, contract: TableContract) -> None:
        if not self.exists(contract):
            raise StateError("the table does not exist yet", where=f"table {contract.name}", do=_RUN_EARLIER)

    def replace(
        self, df: DataFrame, contract: TableContract, *, where: str | None = None, keys_are_unique: bool = False
    ) -> None:
        """Replaces the whole table, or the rows that meet the SQL condition `where`, in one commit.

        Rows of `df` outside `where` raise ContractError. Repeating a replace leaves the same table. With
        `keys_are_unique` the caller guarantees that and saves sorting all rows by their key.
        """
        SparkWriter(self.folder).replace(df, contract=contract, where=where, keys_are_unique=keys_are_unique)

    def append(self, df: DataFrame, contract: TableContract) -> None:
        """Adds rows in one commit. The caller makes sure that a repeat does not add them twice."""
        SparkWriter(self.folder).append(df, contract=contract)
