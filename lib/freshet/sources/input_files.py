"""The input files of `--input`: listed, checked before Spark reads them, and signed."""

import bz2
import codecs
import csv
import gzip
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from freshet.contracts.inputs import InputFormat
from freshet.core.errors import InputError, listed
from freshet.tables.lookups.snapshot import table_files

_ENDINGS = {
    "csv": (".csv", ".tsv", ".txt", ".dat", ".data"),
    "json": (".json", ".jsonl", ".ndjson"),
    "parquet": (".parquet", ".parq", ".pq"),
}
_PACKED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open}
_LOOK = 65_536


def input_files(path: Path, form: InputFormat, *, version: int | None = None) -> list[Path]:
    """The files of an input, in name order. Raises InputError when there are none, or for the first unfit one.

    For a folder these are the files that match `form.files`, else those with the endings of the format; names that
    start with a dot or an underscore are left out. For a Delta table these are its data files, as of `version` if
    it is given.
    """
    if not path.exists():
        raise InputError("there is no such file or folder", where=str(path), do="Check --input")
    if form.format == "delta":
        if not (path / "_delta_log").is_dir():
            raise InputError("not a Delta table", where=str(path), expected="a folder with _delta_log")
        return table_files(path, version=version)
    if path.is_file():
        files = [path]
    else:
        files = sorted(one for one in path.glob(form.files or "**/*") if one.is_file() and _is_data(one, path, form))
    if not files:
        wanted = f"files named {form.files}" if form.files else f"files ending in {', '.join(_ENDINGS[form.format])}"
        raise InputError("the folder holds no data for this source", where=str(path), expected=wanted)
    for file in files:
        _look_into(file, form)
    return files


def _is_data(file: Path, root: Path, form: InputFormat) -> bool:
    parts = file.relative_to(root).parts
    if any(part.startswith((".", "_")) for part in parts):
        return False
    plain = file.with_suffix("") if file.suffix in _PACKED else file
    return form.files is not None or plain.suffix.lower() in _ENDINGS[form.format]


def partition_name(file: Path, path: Path) -> str:
    """The source_partition of a file: its path relative to the folder that holds the input, with /."""
    return without_detours(file).relative_to(without_detours(path).parent).as_posix()


def without_detours(path: Path) -> Path:
    """The absolute path without `..`, as Spark names files; links are not resolved."""
    return Path(os.path.normpath(path.absolute()))


def piece_bytes(files: list[Path], form: InputFormat) -> list[int]:
    """Sizes of the pieces that one task reads each: row groups of Parquet (uncompressed), and texts that are
    compressed or have multi-line records. Other texts can be split anywhere and have no pieces."""
    if form.format in ("parquet", "delta"):
        found = [pq.read_metadata(file) for file in files]
        return [one.row_group(n).total_byte_size for one in found for n in range(one.num_row_groups)]
    return [file.stat().st_size for file in files if form.multi_line or file.suffix in _PACKED]


def input_signature(files: list[Path]) -> dict[str, str]:
    """SHA-256 of each file's content by its path. Equal signatures mean equal inputs, whenever they were copied."""
    signature = {}
    for file in files:
        with file.open("rb") as handle:
            signature[str(file)] = hashlib.file_digest(handle, "sha256").hexdigest()
    return signature


def _look_into(file: Path, form: InputFormat) -> None:
    """Raises InputError when a file is empty, cannot be read or is plainly of another format."""
    try:
        with opened(file) as handle:
            head = handle.read(_LOOK)
    except (OSError, EOFError) as error:
        raise InputError(
            "the file cannot be read", where=str(file), found=getattr(error, "strerror", None) or str(error)
        ) from None
    if not head.strip():
        raise InputError("the file is empty", where=str(file), expected=f"{form.format} data")
    is_parquet = head.startswith(b"PAR1")
    if is_parquet != (form.format == "parquet"):
        raise InputError(
            "wrong format", where=str(file), expected=f"{form.format} as the mapping says",
            found="Parquet" if is_parquet else "no Parquet", do="Correct `format` in the mapping or the --input",
        )  # fmt: skip
    if not is_parquet:
        _look_into_text(file, head, form)


def _look_into_text(file: Path, head: bytes, form: InputFormat) -> None:
    if head.startswith(b"PK\x03\x04"):
        raise InputError("a ZIP archive cannot be read", where=str(file), do="Unpack it first")
    try:
        text = codecs.getincrementaldecoder(form.encoding)().decode(head)
    except UnicodeDecodeError as error:
        raise InputError(
            f"not a text in {form.encoding} (byte {error.start})", where=str(file),
            do="Set `encoding` under [options] of the mapping, as ISO-8859-1 or windows-1252",
        ) from None  # fmt: skip
    if "\0" in text:
        raise InputError("not a text file", where=str(file), expected=f"{form.format} in {form.encoding}")
    start = text.lstrip("\ufeff \t\r\n")[:1]
    if form.format == "json" and start not in ("{", "["):
        raise InputError(
            "wrong format", where=str(file), expected="JSON records", found=f"a text that begins {text[:30]!r}"
        )
    if form.format == "json" and start == "[" and not form.multi_line and not _is_first_of_lines(text):
        raise InputError(
            "a JSON list, not one record per line", where=str(file), do="Set multi_line = true under [options]"
        )


def _is_first_of_lines(text: str) -> bool:
    """Whether the first line is a complete list, which is then a broken record, and other lines follow."""
    first, _, rest = text.lstrip("\ufeff \t\r\n").partition("\n")
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return bool(rest.strip())


def opened(file: Path) -> Any:
    """The file opened for reading bytes, decompressed if its name has the ending of a compressed file."""
    return _PACKED[file.suffix](file, "rb") if file.suffix in _PACKED else file.open("rb")


def csv_columns(files: list[Path], form: InputFormat) -> list[str]:
    """The column names of CSV files: the mapping's, else the header that all files must share."""
    if form.column_names is not None:
        return list(form.column_names)
    headers = {file: _header(file, form) for file in files}
    first = headers[files[0]]
    other = [str(file) for file, header in headers.items() if header != first]
    if other:
        raise InputError(
            f"the header differs from that of {files[0].name}", where=", ".join(other[:3]), expected=", ".join(first),
            found=", ".join(headers[Path(other[0])]),
        )  # fmt: skip
    problems = []
    lower = [name.lower() for name in first]
    problems += [f"column {name} is there twice" for name in dict.fromkeys(lower) if lower.count(name) > 1]
    if problems:
        raise InputError(
            listed(problems), where=str(files[0]), do="Give column_names under [options] when there is no header"
        )
    return first


def _header(file: Path, form: InputFormat) -> list[str]:
    with opened(file) as handle:
        lines = codecs.getreader(form.encoding)(handle)
        line = next((one for one in lines if one.strip() and not _is_comment(one, form)), "")
    line = line.lstrip("\ufeff").rstrip("\r\n")
    if len(form.separator) > 1 or not form.quote:
        names = line.split(form.separator)
    else:
        names = next(csv.reader([line], delimiter=form.separator, quotechar=form.quote))
    # The row numbers of an exported table have no column name; Spark names such columns by position too.
    return [name.strip() or f"_c{n}" for n, name in enumerate(names)]


def _is_comment(line: str, form: InputFormat) -> bool:
    return form.comment is not None and line.startswith(form.comment)


def parquet_schema(files: list[Path]) -> pa.Schema:
    """The schema that all Parquet files share. Raises InputError for a broken file or one that differs."""
    first: pa.Schema | None = None
    for file in files:
        try:
            schema = pq.read_schema(file).remove_metadata()
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError("not a readable Parquet file", where=str(file), found=str(error).split(".")[0]) from None
        if first is not None and not schema.equals(first):
            raise InputError(
                f"the columns differ from those of {files[0].name}", where=str(file),
                expected=", ".join(f"{f.name} {f.type}" for f in first),
                found=", ".join(f"{f.name} {f.type}" for f in schema),
                do="Name the files of this source with `files` in the mapping",
            )  # fmt: skip
        first = schema if first is None else first
    assert first is not None  # input_files gives at least one
    return first
