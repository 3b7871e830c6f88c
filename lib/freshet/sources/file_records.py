"""Raw records of a source with their place and unchanged source columns."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from freshet.contracts.inputs import BROKEN_RECORD, InputFormat
from freshet.core.errors import InputError
from freshet.sources.input_files import (
    csv_columns,
    input_files,
    parquet_schema,
    partition_name,
    piece_bytes,
    without_detours,
)
from freshet.sources.json_lines import is_record, json_records, line_text, text_lines

PLACE = ("source_partition", "source_offset")

_FILE, _BLOCK, _ROW = "_freshet_file", "_freshet_block", "_freshet_row"

_WORTH_DEALING = 4_000_000
"""Bytes of one piece of a file. Redistributing the rows of smaller pieces costs more than it saves."""


def raw_records(
    spark: SparkSession, path: Path, form: InputFormat, *, json_schema: StructType | None = None,
    version: int | None = None,
) -> DataFrame:  # fmt: skip
    """The records of a file or folder: source columns, source_partition and source_offset.

    CSV columns are texts, Parquet and Delta keep their types. JSON is read with `json_schema`, which must be given
    (cleaning.source_columns.json_columns). Text formats have a column `_broken_record`: the line if it could not be
    parsed, else null. JSON lines also have RAW_TEXT and IS_LARGE. source_partition is the file's path relative to the
    folder that holds the input; source_offset is the record's number in the file, from 0; for JSON lines it is the
    line number, as in a stream. `version` is that of a Delta table; by default the newest. Raises InputError for
    missing, empty and unfit files.
    """
    files = input_files(path, form, version=version)
    if form.format == "json" and json_schema is not None and not form.multi_line:
        return _json_lines(spark, files, form, json_schema, path)
    if form.format == "delta":
        reader = spark.read.format("delta")
        reader = reader if version is None else reader.option("versionAsOf", version)
        # Unlike the reader of plain Parquet, Delta's reader does not give a row's number.
        frame, own_rows = reader.load(str(path.absolute())), False
    elif form.format == "parquet":
        frame, own_rows = _parquet(spark, files, path), True
    elif form.format == "csv":
        frame, own_rows = _csv(spark, files, form), False
    else:
        assert json_schema is not None  # callers with JSON know what their mapping names
        frame, own_rows = _multi_line_json(spark, files, form, json_schema), False
    reserved = set(PLACE) & {name.lower() for name in frame.columns}
    if reserved:
        raise InputError(f"the source has a column {', '.join(sorted(reserved))}", where=str(path), do="Rename it")
    columns = [F.col(f"`{name}`") for name in frame.columns]
    if own_rows:
        name = _partition_column(F.col("_metadata.file_path"), files, path)
        place = (name.alias("source_partition"), F.col("_metadata.row_index").alias("source_offset"))
        return _plain_nanos(frame.select(*columns, *place), files if form.format == "parquet" else [])
    return numbered(
        frame, columns, file=F.col("_metadata.file_path"), block=F.col("_metadata.file_block_start"),
        partition=lambda file: _partition_column(file, files, path),
    )  # fmt: skip


def dealt_out(records: DataFrame, files: list[Path], form: InputFormat) -> DataFrame:
    """Records of `raw_records`, spread evenly over all tasks where one task would have most of the work.

    One task reads the smallest piece that a file can be split into, and spreadsheet programs write a million rows as
    one piece.
    """
    tasks = records.sparkSession.sparkContext.defaultParallelism
    pieces = piece_bytes(files, form)
    largest = max(pieces, default=0)
    if largest < _WORTH_DEALING or largest * tasks < 2 * sum(pieces):
        return records
    return records.repartition(tasks, "source_offset")


def count_records(records: DataFrame, files: list[Path], form: InputFormat) -> int:
    """The number of records of `raw_records`. Parquet files store it; other files are read to count them."""
    return sum(pq.read_metadata(file).num_rows for file in files) if form.format == "parquet" else records.count()


def numbered(
    frame: DataFrame, columns: list[Column], *, file: Column, block: Column, partition: Callable[[Column], Column]
) -> DataFrame:
    """`columns` of rows from text files and Delta tables, with source_partition and source_offset, without a sort.

    `file` and `block` identify where a row was read; `partition` turns the file into source_partition. Within a block
    of a file (the part that one task reads) rows keep their order, so monotonically increasing ids number them. A
    count per block gives each block's first number. Both reads split the files in the same way.
    """
    located = frame.select(
        *columns, file.alias(_FILE), block.alias(_BLOCK), F.monotonically_increasing_id().alias(_ROW)
    )
    blocks = located.groupBy(_FILE, _BLOCK).agg(F.min(_ROW).alias("_first"), F.count(F.lit(1)).alias("_rows"))
    before = Window.partitionBy(_FILE).orderBy(_BLOCK).rowsBetween(Window.unboundedPreceding, -1)
    starts = blocks.select(
        _FILE, _BLOCK,
        partition(F.col(_FILE)).alias("source_partition"),
        (F.coalesce(F.sum("_rows").over(before), F.lit(0)) - F.col("_first")).alias("_start"),
    )  # fmt: skip
    joined = located.join(F.broadcast(starts), on=[_FILE, _BLOCK], how="inner")
    return joined.withColumn("source_offset", F.col(_ROW) + F.col("_start")).select(
        *columns, "source_partition", "source_offset"
    )


def _partition_column(file_path: Column, files: list[Path], path: Path) -> Column:
    return F.lit(partition_name(files[0], path)) if len(files) == 1 else partition_column(file_path, path)


def partition_column(file_path: Column, path: Path) -> Column:
    """input_files.partition_name of the files of the input `path`, from their names as Spark gives them."""
    root = without_detours(path).parent.as_posix().rstrip("/") + "/"
    # Spark gives file names with % escapes, in which + means a plus sign.
    plain = F.url_decode(F.replace(file_path, F.lit("+"), F.lit("%2B")))
    return F.substring_index(plain, root, -1) if path.is_dir() else plain


def _paths(files: list[Path]) -> list[str]:
    """File names as Spark expects them: it treats brackets and stars as patterns unless they are escaped."""
    escaped = str.maketrans({letter: f"\\{letter}" for letter in "{}[]*?\\"})
    return [str(file.absolute()).translate(escaped) for file in files]


def _csv(spark: SparkSession, files: list[Path], form: InputFormat) -> DataFrame:
    names = csv_columns(files, form)
    fields = [StructField(name, StringType()) for name in names]
    if not form.uneven_rows:
        fields.append(StructField(BROKEN_RECORD, StringType()))
    options = {
        "sep": form.separator,
        "quote": form.quote,
        "escape": form.escape,
        "header": str(form.column_names is None).lower(),
        "encoding": form.encoding,
        "multiLine": str(form.multi_line).lower(),
        "columnNameOfCorruptRecord": BROKEN_RECORD,
        # Broken lines become records that hold the line as text, and later rows of the quarantine.
        "mode": "PERMISSIVE",
    }
    if form.comment:
        options["comment"] = form.comment
    return spark.read.options(**options).schema(StructType(fields)).csv(_paths(files))


def _json_lines(spark: SparkSession, files: list[Path], form: InputFormat, schema: StructType, path: Path) -> DataFrame:
    lines = numbered(
        text_lines(spark, _paths(files), form.encoding), [F.col("value"), F.col("damaged")],
        file=F.col("_metadata.file_path"), block=F.col("_metadata.file_block_start"),
        partition=lambda file: _partition_column(file, files, path),
    )  # fmt: skip
    records = lines.select(line_text(F.col("value")).alias("text"), "damaged", *PLACE).where(is_record(F.col("text")))
    return json_records(records, schema)


def _multi_line_json(spark: SparkSession, files: list[Path], form: InputFormat, schema: StructType) -> DataFrame:
    options = {
        "encoding": form.encoding,
        "multiLine": "true",
        "columnNameOfCorruptRecord": BROKEN_RECORD,
        "mode": "PERMISSIVE",
    }
    return spark.read.options(**options).schema(schema).json(_paths(files))


def _parquet(spark: SparkSession, files: list[Path], path: Path) -> DataFrame:
    schema = parquet_schema(files)
    if any(_is_nanos(kind) for kind in schema.types):
        # Spark refuses times in nanoseconds, which pandas writes by default; it can read them as numbers.
        spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    reader = spark.read
    if path.is_dir() and all("=" in file.parent.name for file in files):
        reader = reader.option("basePath", str(path.absolute()))  # folders such as day=2020-01-31 become columns
    try:
        return reader.parquet(*_paths(files))
    except AnalysisException as error:
        raise InputError("not a readable Parquet file", where=str(path), found=str(error).split("\n")[0]) from None


def _plain_nanos(frame: DataFrame, files: list[Path]) -> DataFrame:
    """Converts times in nanoseconds that were read as numbers back to times, cut to whole microseconds."""
    for field in parquet_schema(files) if files else ():
        if _is_nanos(field.type):
            micros = F.floor(F.col(f"`{field.name}`") / 1000)
            moment = F.timestamp_micros(micros)
            frame = frame.withColumn(field.name, moment if field.type.tz else moment.cast("timestamp_ntz"))
    return frame


def _is_nanos(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.unit == "ns")
