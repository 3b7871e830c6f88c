"""TableContract: the single definition of a table.

One contract has six uses: the table's creation, the check on reading, the check and column order on writing, the merge
key, the row factory of the tests and the generated table reference.
"""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

from pyspark.sql import DataFrame
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    FloatType,
    MapType,
    StructField,
    StructType,
    TimestampType,
)

from freshet.core.errors import ContractError, listed

_COMMITS_PER_CHECKPOINT = 50
"""Commits between checkpoints of streamed tables. A checkpoint costs an append about 0.03 s, and every commit since the
last one is a file to read."""


@dataclass(frozen=True)
class Column:
    """One column: its type, meaning, unit and allowed values.

    `minimum` and `maximum` are inclusive; `allowed` lists all values of a closed set. A null passes every check except
    `required`. NaN is not allowed in any column.
    """

    name: str
    type: DataType
    meaning: str
    unit: str = ""
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()

    @property
    def is_fraction(self) -> bool:
        return isinstance(self.type, FloatType | DoubleType)

    def rule_text(self) -> str:
        """The rules in words, for messages and the table reference."""
        parts = ["not null"] if self.required else []
        if self.minimum is not None or self.maximum is not None:
            low = "-inf" if self.minimum is None else f"{self.minimum:g}"
            high = "inf" if self.maximum is None else f"{self.maximum:g}"
            parts.append(f"{low} to {high}")
        elif self.is_fraction:
            parts.append("a number")
        if self.allowed:
            parts.append("one of " + ", ".join(self.allowed))
        return ", ".join(parts)


@dataclass(frozen=True)
class TableContract:
    """A table: the meaning of a row, its columns and its key. `key` columns are required and unique together.

    `log_days` is the number of days that the log of a table written by micro-batches is kept; 0 for other tables.
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition_by: tuple[str, ...] = ()
    log_days: int = 0

    @cached_property
    def schema(self) -> StructType:
        """The Spark schema, with the meaning of each column as its comment."""
        return StructType(
            [StructField(c.name, c.type, True, {"comment": c.meaning + (f" [{c.unit}]" if c.unit else "")})
             for c in self.columns]
        )  # fmt: skip

    @property
    def column_names(self) -> list[str]:
        return [c.name for c in self.columns]

    @property
    def streamed(self) -> bool:
        """Whether micro-batches write the table, with thousands of commits a day."""
        return self.log_days > 0

    @property
    def measured(self) -> list[str]:
        """Columns with minimum and maximum per file: the key and times, without the partition columns."""
        by_name = (c.name for c in self.columns if c.name in self.key or isinstance(c.type, TimestampType))
        return [name for name in by_name if name not in self.partition_by]

    @property
    def table_properties(self) -> dict[str, str]:
        """Properties of the Delta table: statistics, by which readers skip files, for keys and times alone.

        Statistics of all columns would take longer to compute than the columns to write. The log of a streamed table is
        kept for its `log_days` instead of 30, in which it would grow to a million files.
        """
        properties = {"delta.dataSkippingStatsColumns": ",".join(self.measured)}
        if self.streamed:
            # Removed files need not stay in the log longer than commits; readers list up to an interval of them.
            kept = f"interval {self.log_days} days"
            properties["delta.logRetentionDuration"] = kept
            properties["delta.deletedFileRetentionDuration"] = kept
            properties["delta.checkpointInterval"] = str(_COMMITS_PER_CHECKPOINT)
        return properties

    def schema_problems(self, schema: StructType) -> list[str]:
        """Every missing, extra or mistyped column of `schema` against this contract."""
        found = {field.name: field.dataType for field in schema.fields}
        times = Counter(schema.fieldNames())
        problems = [f"column {name} occurs {count} times" for name, count in times.items() if count > 1]
        for column in self.columns:
            if column.name not in found:
                problems.append(f"column {column.name} ({column.type.simpleString()}) is missing")
            elif not same_type(found[column.name], column.type):
                problems.append(
                    f"column {column.name} must be {column.type.simpleString()}, is {found[column.name].simpleString()}"
                )
        known = set(self.column_names)
        problems += [f"column {name} is not in the contract" for name in found if name not in known]
        return problems

    def addable(self, schema: StructType) -> list[Column]:
        """Columns that `schema`, of an older version, lacks and that may be added: those that accept null."""
        found = set(schema.fieldNames())
        return [c for c in self.columns if c.name not in found and not c.required and c.name not in self.key]

    def conform(self, df: DataFrame) -> DataFrame:
        """`df` in the contract's column order. Raises ContractError listing every schema mismatch."""
        self.check_schema(df.schema)
        return df.select(*self.column_names)

    def check_schema(self, schema: StructType) -> None:
        """Raises ContractError listing every schema mismatch."""
        problems = self.schema_problems(schema)
        if problems:
            raise ContractError(
                listed(problems),
                where=f"table {self.name}",
                do=f"See `freshet tables {self.name}` for its columns",
            )

    @cached_property
    def checked_columns(self) -> list[Column]:
        """The columns with the rules for checking rows: those of the key are required."""
        return [replace(c, required=True) if c.name in self.key else c for c in self.columns]

    @property
    def key_rule(self) -> str:
        """The rule of the key, in words."""
        return f"key ({', '.join(self.key)}) must be unique"


def same_type(found: DataType, wanted: DataType) -> bool:
    """Whether types are equal, ignoring the nullability of nested fields."""
    if isinstance(found, ArrayType) and isinstance(wanted, ArrayType):
        return same_type(found.elementType, wanted.elementType)
    if isinstance(found, MapType) and isinstance(wanted, MapType):
        return same_type(found.keyType, wanted.keyType) and same_type(found.valueType, wanted.valueType)
    if isinstance(found, StructType) and isinstance(wanted, StructType):
        return [f.name for f in found.fields] == [w.name for w in wanted.fields] and all(
            same_type(f.dataType, w.dataType) for f, w in zip(found.fields, wanted.fields, strict=True)
        )
    return found == wanted
