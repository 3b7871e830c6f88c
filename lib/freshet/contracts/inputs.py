"""How the files of a source are written. Said in its mapping, used by whoever reads them."""

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

BROKEN_RECORD = "_broken_record"
"""Column of raw text records that could not be parsed: the whole line. Null where the record is well formed."""

RAW_TEXT, IS_LARGE = "_freshet_raw", "_freshet_is_large"
"""Columns of records that come as texts of their own: the text, cut where it is too large, and whether it is."""

MOST_RECORD_CHARACTERS = 1_000_000
"""A larger record is refused unread: Kafka's own limit of a message is a megabyte too."""

SHOWN_CHARACTERS = 10_000
"""Characters of an unusable record that are kept for a person to look at."""

TOO_LARGE = f"larger than {MOST_RECORD_CHARACTERS:,} characters; its beginning is kept"

FORMATS = ("csv", "json", "parquet", "delta")


@dataclass(frozen=True)
class InputFormat:
    """Format and dialect of input files; what does not apply to a format is ignored there.

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
    """The text of a record, its beginning where it is too large, and whether it is."""
    is_large = F.length(text) > MOST_RECORD_CHARACTERS
    return F.when(is_large, F.left(text, F.lit(SHOWN_CHARACTERS))).otherwise(text), is_large
