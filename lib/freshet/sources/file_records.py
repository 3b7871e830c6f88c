"""Raw records of a source with their place, source columns untouched."""

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
"""Bytes of one piece of a file. Smaller ones are read before dealing their rows out has begun to pay."""


def raw_records(
    spark: SparkSession, path: Path, form: InputFormat, *, json_schema: StructType | None = None,
    version: int | None = None,
) -> DataFrame:  # fmt: skip
    """The records of a file or folder: source columns, source_partition and source_offset.

    CSV columns are texts, Parquet and Delta keep their types; of JSON `json_schema` is read, which must be given
    (cleaning.source_columns.json_columns). Text formats have a column `_broken_record`: the line where it could not
    be parsed, else null. JSON lines also have RAW_TEXT and IS_LARGE. source_partition is the file's path from the
    folder that holds the input; source_offset the record's number in the file, from 0; of JSON lines the line's, as in
    a stream. `version` is one of a Delta table, the newest where none is given. Raises InputError for missing, empty
    and unfit files.
    """
    files = input_files(path, form, version=version)
    if form.format == "json" and json_schema is not None and not form.multi_line:
        return _json_lines(spark, files, form, json_schema, path)
    if form.format == "delta":
        reader = spark.read.format("delta")
        reader = reader if version is None else reader.option("versionAsOf", version)
        # Unlike those of plain Parquet, Delta's readers do not give a row's number.
        frame, own_rows = reader.load(str(path.absolute())), False
    elif form.format == "parquet":
        frame, own_rows = _parquet(spark, files, path), True
    elif form.format == "csv":
        frame, own_rows = _csv(spark, files, form), False
    else:
        assert json_schema is not None  # callers with JSON know what their mapping names
        frame, own_rows = _multi_line_json(spark, files, form, json_schema), False
    taken = set(PLACE) & {name.lower() for name in frame.columns}
    if taken:
        raise InputError(f"the source has a column {', '.join(sorted(taken))}", where=str(path), do="Rename it")
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
    """Records of `raw_records`, dealt out evenly to all tasks where one task would have most of the work.

    One task reads what a file cannot be cut smaller than, and table programs write a million rows as one piece.
    """
    tasks = records.sparkSession.sparkContext.defaultParallelism
    pieces = piece_bytes(files, form)
    largest = max(pieces, default=0)
    if largest < _WORTH_DEALING or largest * tasks < 2 * sum(pieces):
        return records
    return records.repartition(tasks, "source_offset")


def count_records(records: DataFrame, files: list[Path], form: InputFormat) -> int:
    """How many records of `raw_records` there are. Parquet files know it; others are read for it."""
    return sum(pq.read_metadata(file).num_rows for file in files) if form.format == "parquet" else records.count()


def numbered(
    frame: DataFrame, columns: list[Column], *, file: Column, block: Column, partition: Callable[[Column], Column]
) -> DataFrame:
    """`columns` of rows from text files and Delta tables, with source_partition and source_offset, without sorting.

    `file` and `block` say where a row was read, `partition` makes source_partition of the former. Within a block of a
    file (what one task reads) rows keep their order, so monotonically increasing ids give their numbers in it. A count
    per block gives each block's first number. Both reads split the files in the same way.
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
    # Spark gives file names with % escapes, in which + stands for itself.
    plain = F.url_decode(F.replace(file_path, F.lit("+"), F.lit("%2B")))
    return F.substring_index(plain, root, -1) if path.is_dir() else plain


def _paths(files: list[Path]) -> list[str]:
    """File names as Spark wants them: it takes brackets and stars for patterns unless they are escaped."""
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
        # Broken lines become records with the line as text, and from there a quarantine row.
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
        # Spark refuses times in nanoseconds, which pandas writes by default; as numbers it reads them.
        spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    reader = spark.read
    if path.is_dir() and all("=" in file.parent.name for file in files):
        reader = reader.option("basePath", str(path.absolute()))  # folders such as day=2020-01-31 become columns
    try:
        return reader.parquet(*_paths(files))
    except AnalysisException as error:
        raise InputError("not a readable Parquet file", where=str(path), found=str(error).split("\n")[0]) from None


def _plain_nanos(frame: DataFrame, files: list[Path]) -> DataFrame:
    """Times in nanoseconds, read as numbers, as times again; what is finer than a microsecond is cut off."""
    for field in parquet_schema(files) if files else ():
        if _is_nanos(field.type):
            micros = F.floor(F.col(f"`{field.name}`") / 1000)
            moment = F.timestamp_micros(micros)
            frame = frame.withColumn(field.name, moment if field.type.tz else moment.cast("timestamp_ntz"))
    return frame


def _is_nanos(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.unit == "ns")
