"""The file format of a source, as its mapping describes it and readers use it."""

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

BROKEN_RECORD = "_broken_record"
"""Column of raw text records that could not be parsed: the whole line. Null where the record is well formed."""

RAW_TEXT, IS_LARGE = "_freshet_raw", "_freshet_is_large"
"""Columns of records that arrive as texts: the text, cut if it is too large, and whether it is too large."""

MOST_RECORD_CHARACTERS = 1_000_000
"""A larger record is refused unread: Kafka's own limit of a message is a megabyte too."""

SHOWN_CHARACTERS = 10_000
"""Characters of an unusable record that are kept for inspection."""

TOO_LARGE = f"larger than {MOST_RECORD_CHARACTERS:,} characters; its beginning is kept"

FORMATS = ("csv", "json", "parquet", "delta")


@dataclass(frozen=True)
class InputFormat:
    """Format and dialect of input files; options that do not apply to a format are ignored.

    `files` is a glob relative to the input when that is a folder, None for all files of the format.
    `column_names` None means that the first line of each CSV file is its header. `uneven_rows` accepts CSV lines with
    more or fewer values than columns. `multi_line` reads values (CSV) or records (JSON) that span lines.
    """

    format: str
    files: str | None
    separator: str
    quote: str
    escape: str
    comment: str | None
    column_names: tuple[str, ...] | None
    encoding: str
    multi_line: bool
    uneven_rows: bool


def kept_text(text: Column) -> tuple[Column, Column]:
    """The text of a record (its beginning if it is too large), and whether it is too large."""
    is_large = F.length(text) > MOST_RECORD_CHARACTERS
    return F.when(is_large, F.left(text, F.lit(SHOWN_CHARACTERS))).otherwise(text), is_large
