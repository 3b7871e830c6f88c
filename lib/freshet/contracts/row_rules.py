"""The rules of a contract for rows, checked by Spark or by Arrow, for all writers.

Both forms of each rule are kept together: rows that one writer refuses are refused by every other, in the same words.
"""

from collections import Counter
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts.table import Column, TableContract


def spark_rules(contract: TableContract) -> dict[str, SparkColumn]:
    """By rule, in words, a column that is true for a row of a Spark frame that breaks it, else false."""
    found = {}
    for column in contract.checked_columns:
        value, broken = F.col(column.name), []
        if column.required:
            broken.append(value.isNull())
        if column.minimum is not None:
            broken.append(value < F.lit(column.minimum))
        if column.maximum is not None:
            broken.append(value > F.lit(column.maximum))
        if column.is_fraction:
            broken.append(F.isnan(value))
        if column.allowed:
            broken.append(~value.isin(*column.allowed))
        if broken:
            rule = broken[0]
            for other in broken[1:]:
                rule = rule | other
            found[_rule_of(column)] = F.coalesce(rule, F.lit(False))
    return found


def broken_by_arrow(rows: pa.Table, contract: TableContract) -> dict[str, int]:
    """By rule, in words, the number of rows of an Arrow table that break it; for the key that of repeated keys."""
    found: dict[str, int] = {}
    for column in contract.checked_columns:
        broken = _broken_values(rows.column(column.name), column)
        if broken:
            found[_rule_of(column)] = broken
    keys = rows.select(list(contract.key)).group_by(list(contract.key))
    if keys.aggregate([]).num_rows < rows.num_rows:
        times = keys.aggregate([([], "count_all")]).column("count_all")
        found[contract.key_rule] = int(pc.sum(pc.greater(times, 1)).as_py())
    return found


def _broken_by_spark(rows: DataFrame, contract: TableContract) -> dict[str, int]:
    rules, found = spark_rules(contract), Counter[str]()
    if rules:
        counts = rows.agg(*[F.count_if(rule).alias(str(n)) for n, rule in enumerate(rules.values())]).first()
        assert counts is not None  # an aggregate without grouping has exactly one row
        found.update({text: counts[n] for n, text in enumerate(rules) if counts[n]})
    found[contract.key_rule] = rows.groupBy(*contract.key).count().where("count > 1").count()
    return {rule: count for rule, count in found.items() if count}


def arrow_problems(rows: pa.Table, contract: TableContract) -> list[str]:
    """Every rule that rows of an Arrow table break, with the number of rows or of repeated keys."""
    return in_sentences(broken_by_arrow(rows, contract), contract)


def spark_problems(rows: DataFrame, contract: TableContract) -> list[str]:
    """`arrow_problems` for a Spark frame. Runs two jobs."""
    return in_sentences(_broken_by_spark(rows, contract), contract)


def in_sentences(broken: Mapping[str, int], contract: TableContract) -> list[str]:
    """The result of `broken_by_arrow` as sentences."""
    return [
        f"{rule}: {count} keys are repeated" if rule == contract.key_rule else f"{rule}: {count} rows break this"
        for rule, count in broken.items()
    ]


def _rule_of(column: Column) -> str:
    return f"{column.name} must be {column.rule_text()}"


def _broken_values(values: pa.ChunkedArray, column: Column) -> int:
    """The number of values that break one of the column's rules."""
    broken = []
    if column.required:
        broken.append(pc.is_null(values))
    if column.minimum is not None:
        broken.append(pc.less(values, column.minimum))
    if column.maximum is not None:
        broken.append(pc.greater(values, column.maximum))
    if column.is_fraction:
        broken.append(pc.is_nan(values))
    if column.allowed:
        others = pc.invert(pc.is_in(values, value_set=pa.array(column.allowed), skip_nulls=False))
        broken.append(pc.and_(others, pc.is_valid(values)))
    if not broken:
        return 0
    either = pc.fill_null(broken[0], False)
    for rule in broken[1:]:
        either = pc.or_(either, pc.fill_null(rule, False))
    return int(pc.sum(either).as_py() or 0)
