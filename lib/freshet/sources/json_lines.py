"""JSON records as text, parsed with a known schema in the same way for files, folders and topics.

The schema comes from the mapping and is never inferred from the data. Otherwise a repeated key, or thousands of
distinct ones, would decide whether a file can be read at all.
"""

import codecs
import json
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, StringType, StructField, StructType

from freshet.contracts.inputs import BROKEN_RECORD, IS_LARGE, RAW_TEXT, SHOWN_CHARACTERS, InputFormat, kept_text
from freshet.core.errors import InputError
from freshet.sources.input_files import opened

_BYTE_ORDER_MARK = "\ufeff"

_SAMPLED_RECORDS, _SAMPLED_CHARACTERS = 1_000, 1_000_000
"""Limits of `sampled_schema`: enough to see the columns of a source, and quick to read."""


_ENOUGH = 10
"""Records that are enough to determine the type of a field."""


def text_lines(spark: SparkSession, paths: list[str], encoding: str) -> DataFrame:
    """(value, damaged) of text files, a row per line with empty lines. `damaged`: not valid in the encoding.

    Raises InputError for encodings whose line ends have more than one byte.
    """
    lines = spark.read.option("lineSep", "\n").text(paths)
    if codecs.lookup(encoding).name == "utf-8":
        value = F.col("value")
        return lines.select(F.make_valid_utf8(value).alias("value"), (~F.is_valid_utf8(value)).alias("damaged"))
    if "\n".encode(encoding) != b"\n":
        raise InputError(
            f"JSON lines in {encoding} cannot be read", where=paths[0],
            do="Convert the files to UTF-8, and leave `encoding` out",
        )  # fmt: skip
    # Without them Spark knows half a dozen encodings (and not windows-1252), and one wrong byte ends the whole job.
    spark.conf.set("spark.sql.legacy.javaCharsets", "true")
    spark.conf.set("spark.sql.legacy.codingErrorAction", "true")
    text = F.decode(F.col("value").cast("binary"), encoding)
    return lines.select(text.alias("value"), F.lit(False).alias("damaged"))


def line_text(line: Column) -> Column:
    """A line of a text file that was split at line feeds, without the carriage return before it."""
    return F.when(F.endswith(line, F.lit("\r")), F.left(line, F.length(line) - 1)).otherwise(line)


def is_record(text: Column) -> Column:
    """False for empty lines, which are no records."""
    return F.trim(text) != ""


def json_records(values: DataFrame, schema: StructType) -> DataFrame:
    """The columns of `schema` of each JSON object in column `text`, RAW_TEXT, IS_LARGE and the other columns.

    `values` has `text` and `damaged` (true where wrong bytes were replaced), which are left out of the result.
    BROKEN_RECORD, the last column of `schema`, holds the beginning of a text that is no JSON object, else null; a
    null text is a broken record too. The last value of a repeated key counts, and names are case-sensitive.
    """
    others = [name for name in values.columns if name not in ("text", "damaged")]
    kept, is_large = kept_text(F.coalesce("text", F.lit("")))
    shaped = values.select(
        *others, kept.alias(RAW_TEXT), is_large.alias(IS_LARGE),
        (is_large | F.coalesce("damaged", F.lit(False))).alias("_unreadable"),
    )  # fmt: skip
    plain = F.ltrim(F.col(RAW_TEXT))
    plain = F.when(F.startswith(plain, F.lit(_BYTE_ORDER_MARK)), F.substring(plain, 2, 2**31 - 1)).otherwise(plain)
    readable = F.when(~F.col("_unreadable"), plain).otherwise(F.lit(""))
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": BROKEN_RECORD}
    parsed = shaped.withColumn("_record", F.from_json(readable, schema, options))
    columns = [F.col("_record")[field.name].alias(field.name) for field in schema if field.name != BROKEN_RECORD]
    is_broken = (
        F.col("_unreadable") | F.col("_record").isNull() | F.col("_record")[BROKEN_RECORD].isNotNull()
        | ~F.startswith(plain, F.lit("{"))
    )  # fmt: skip
    broken = F.when(is_broken, F.left(RAW_TEXT, F.lit(SHOWN_CHARACTERS)))
    return parsed.select(*columns, broken.alias(BROKEN_RECORD), RAW_TEXT, IS_LARGE, *others)


def sampled_schema(files: list[Path], form: InputFormat) -> StructType | None:
    """The schema of the first thousand JSON records of the first file; None if none of them can be read.

    A field is a list (array) or a struct if ten records have it (or all, if there are fewer) and always as that type;
    otherwise it is a text, since a few odd records are not typical of the source.
    """
    with opened(files[0]) as handle:
        text = codecs.getreader(form.encoding)(handle, "replace").read(_SAMPLED_CHARACTERS)
    # Only the last line can be incomplete, where the size limit cut it off.
    lines = [text] if form.multi_line else text.lstrip(_BYTE_ORDER_MARK).splitlines()
    records: list[dict[str, Any]] = []
    for line in lines:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        records += [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]
        if len(records) >= _SAMPLED_RECORDS:
            break
    return _struct_of(records) if records else None


def _struct_of(objects: list[dict[str, Any]]) -> StructType:
    names = dict.fromkeys(name for one in objects for name in one)
    enough = min(_ENOUGH, len(objects))
    return StructType(
        [StructField(name, _type_of([one[name] for one in objects if name in one], enough)) for name in names]
    )


def _type_of(values: list[Any], enough: int) -> DataType:
    known = [value for value in values if value is not None]
    if known and len(known) >= enough:
        if all(isinstance(value, dict) for value in known):
            return _struct_of(known)
        if all(isinstance(value, list) for value in known):
            return ArrayType(_type_of([entry for value in known for entry in value], 1))
    return StringType()
