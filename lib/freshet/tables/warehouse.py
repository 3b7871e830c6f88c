"""Delta tables by contract: create, read at a version, replace, append.

A table of an older product is read with nulls for the columns that have come since, and gets them with the next write;
a table that lacks a column without null, or has one that the contract does not know, is refused.

Every write checks the whole frame against its contract in the pass that writes it: a broken row stops the commit,
and only then the rows are counted again to list every mismatch.
"""

from pathlib import Path

from deltalake import DeltaTable, Schema
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from freshet.contracts import TableContract
from freshet.core.errors import ContractError, StateError, listed
from freshet.tables.columns import has_commit, missing_columns

_GUARD = "freshet contract guard"
_RUN_EARLIER = "Run the earlier steps first: `freshet status` shows which have run"
_REPLACE_MISMATCH = "DELTA_REPLACE_WHERE_MISMATCH"


class Warehouse:
    """The Delta tables of one home."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.folder = spark, folder

    def path(self, contract: TableContract) -> str:
        return str((self.folder / contract.name).resolve())

    def exists(self, contract: TableContract) -> bool:
        """Whether the table has a commit; the folders of a creation that was killed before it do not count."""
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

        Columns that an older product did not write are null. Raises StateError when it does not exist, ContractError
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
        """Makes the empty table, or gives that of an older product its new columns; nothing where it is as it should
        be. Raises ContractError when its columns were changed by hand."""
        if self.exists(contract):
            self._widen(contract)
            return
        DeltaTable.create(
            self.path(contract),
            schema=Schema.from_json(contract.schema.json()),
            partition_by=list(contract.partition_by) or None,
            configuration=contract.table_properties,
        )

    def _must_exist(self, contract: TableContract) -> None:
        if not self.exists(contract):
            raise StateError("the table does not exist yet", where=f"table {contract.name}", do=_RUN_EARLIER)

    def _widen(self, contract: TableContract) -> None:
        """Adds the columns that an older product did not write."""
        table = DeltaTable(self.path(contract))
        missing = missing_columns(table, contract)
        if missing.fields:
            table.alter.add_columns(Schema.from_json(missing.json()).fields)

    def replace(
        self, df: DataFrame, contract: TableContract, *, where: str | None = None, keys_are_unique: bool = False
    ) -> None:
        """Replaces the whole table, or the rows that meet the SQL condition `where`, in one commit.

        Rows of `df` outside `where` raise ContractError. Repeating a replace leaves the same table. With
        `keys_are_unique` the caller vouches for that and saves sorting all rows by their key.
        """
        options = {"replaceWhere": where} if where else {}
        self._write(df, contract, "overwrite", options, keys_are_unique=keys_are_unique)

    def append(self, df: DataFrame, contract: TableContract) -> None:
        """Adds rows in one commit. The caller makes sure that a repeat does not add them twice."""
        self._write(df, contract, "append", {})

    def _write(
        self,
        df: DataFrame,
        contract: TableContract,
        mode: str,
        options: dict[str, str],
        *,
        keys_are_unique: bool = False,
    ) -> None:
        rows = contract.conform(df)
        sound = guarded(rows, contract, keys_are_unique=keys_are_unique)
        writer = sound.select(*_with_meanings(contract)).write.format("delta").mode(mode)
        if self.exists(contract):
            self._widen(contract)
        else:
            # The first write makes the table: made empty before, it would be a commit to read again.
            writer = writer.options(**contract.table_properties).partitionBy(*contract.partition_by)
        writer = writer.options(**options)
        try:
            writer.save(self.path(contract))
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
                listed(contract.row_problems(rows)), where=f"table {contract.name}", do="Nothing was written"
            ) from None


def _with_meanings(contract: TableContract) -> list[Column]:
    return [F.col(field.name).alias(field.name, metadata=field.metadata) for field in contract.schema]


def guarded(df: DataFrame, contract: TableContract, *, keys_are_unique: bool) -> DataFrame:
    """`df`, failing when it is computed if a row breaks a rule of the contract or repeats a key."""
    broken = F.lit(False)
    if not keys_are_unique:
        broken = F.count(F.lit(1)).over(Window.partitionBy(*contract.key)) > 1
    for rule in contract.violations().values():
        broken = broken | rule
    stop = F.raise_error(F.lit(_GUARD)).cast("boolean")
    # What is not deterministic stays where it is: moved before a filter, the guard would judge rows that are left out.
    sound = F.when(broken, stop).otherwise(F.monotonically_increasing_id() >= 0)
    return df.withColumn("_sound", sound).where("_sound").drop("_sound")
