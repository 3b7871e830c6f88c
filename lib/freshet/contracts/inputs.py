"""How the files of a source are written. Said in its mapping, used by whoever reads them."""

from dataclasses import dataclass

BROKEN_RECORD = "_broken_record"
"""Column of raw text records that could not be parsed: the whole line. Null where the record is well formed."""

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
