"""Reads the records of an input and checks them against its mapping, for ingest, produce and items."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from freshet.cleaning import judging
from freshet.cleaning.parameters import CleaningParameters
from freshet.cleaning.parsing import PLACE, parsed
from freshet.cleaning.problems import refused_as_too_large
from freshet.cleaning.source_columns import (
    AbsentColumn,
    catalogue_columns,
    check_catalogue,
    check_json,
    check_mapping,
    event_columns,
    json_columns,
)
from freshet.contracts.inputs import IS_LARGE, RAW_TEXT
from freshet.sources.file_records import dealt_out, raw_records
from freshet.sources.input_files import input_files
from freshet.sources.json_lines import sampled_schema
from freshet.sources.rules import Catalogue, SourceMapping


class SourceRecords(NamedTuple):
    """Raw records (contracts.inputs), their files, and columns of the mapping missing in a sample of JSON records."""

    raw: DataFrame
    files: list[Path]
    absent: list[AbsentColumn]

    def narrowed(self, mapping: SourceMapping, *, now: datetime, params: CleaningParameters) -> DataFrame:
        """The records as returned by cleaning.judging.narrowed, distributed over all tasks."""
        carried = (IS_LARGE,) if IS_LARGE in self.raw.columns else ()
        records = dealt_out(self.raw.drop(RAW_TEXT), self.files, mapping.input)
        read = parsed(records, mapping, now=now, params=params, carried=carried)
        if carried:
            read = refused_as_too_large(read, F.col(IS_LARGE)).drop(IS_LARGE)
        return judging.narrowed(read, mapping)


def source_records(
    spark: SparkSession, input_path: Path, mapping: SourceMapping, files: list[Path], *, version: int | None = None
) -> SourceRecords:
    """The records of `files`, the files of `input_path`, or of `version` of a Delta table. Raises MappingError and
    InputError if they do not match the mapping."""
    raw = raw_records(spark, input_path, mapping.input, json_schema=event_columns(mapping), version=version)
    absent: list[AbsentColumn] = []
    if mapping.input.format != "json":
        check_mapping(mapping, _source_columns(raw), str(input_path))
    elif (sampled := sampled_schema(files, mapping.input)) is not None:
        absent = check_json(mapping, sampled, str(input_path))
    return SourceRecords(raw, files, absent)


def catalogue_records(spark: SparkSession, path: Path, catalogue: Catalogue) -> DataFrame:
    """The item records in the file or folder `path`, for cleaning.items. Raises MappingError and InputError."""
    schema = json_columns([name for _, name in catalogue_columns(catalogue)])
    raw = raw_records(spark, path, catalogue.input, json_schema=schema)
    if catalogue.input.format != "json":
        check_catalogue(catalogue, _source_columns(raw), str(path))
    elif (sampled := sampled_schema(input_files(path, catalogue.input), catalogue.input)) is not None:
        check_catalogue(catalogue, sampled, str(path), is_sample=True)
    return raw.drop(RAW_TEXT, IS_LARGE)


def _source_columns(raw: DataFrame) -> StructType:
    return StructType([field for field in raw.schema if field.name not in PLACE])
