"""Reads a TOML file that is a list of sections of one kind, such as [[rules]]: values, and the lines of problems."""

import re
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from itertools import pairwise
from pathlib import Path
from typing import Any

from freshet.core.errors import InputError
from freshet.sources.toml_table import TomlTable


def file_text(path: Path, *, expected: str) -> str:
    """The text of a file; `expected` says in errors what it should be. Raises InputError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"cannot be read: {reason}", where=str(path), expected=expected) from None


def sections_of(text: str, name: str, where: str, problems: list[str]) -> list[dict[str, Any]]:
    """The sections [[name]] of a file, in their order; anything else in it becomes a problem.

    Raises InputError for a text that is no TOML.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not valid TOML: {error}", where=where) from None
    problems += [f"{key} is not known here; known: [[{name}]]" for key in values if key != name]
    found = values.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        problems.append(f"{name} must be a list of tables: sections with the heading [[{name}]]")
        return []
    return found


def number(
    table: TomlTable, key: str, *, above: float | None = None, least: float | None = None, most: float | None = None
) -> float | None:
    """A finite number within these limits; a problem otherwise. None where there is none."""
    if table.raw(key) is None:
        return None
    value = table.number(key, float("nan"))
    limits = {
        f"above {above}": above is not None and value <= above,
        f"{least} or more": least is not None and value < least,
        f"at most {most}": most is not None and value > most,
        "finite": abs(value) == float("inf"),
    }
    if any(limits.values()):
        table.problem(key, f"must be {' and '.join(text for text, is_wrong in limits.items() if is_wrong)}, is {value}")
    return value


def whole(table: TomlTable, key: str, *, least: int) -> int | None:
    """A whole number of `least` or more; None where there is none, or (with a problem) something else."""
    value = table.raw(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        table.problem(key, f"must be a whole number of {least} or more, is {value!r}")
        return None
    return value


def moment(table: TomlTable, key: str, *, or_else: str = "") -> datetime | None:
    """A TOML date or time, or the same as text, in UTC without zone. A date means its midnight."""
    value = table.raw(key)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = 0
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return datetime.combine(value, time())
    if value is not None:
        table.problem(key, f"must be a date such as 2026-11-01{or_else}, is {table.values[key]!r}")
    return None


def as_json(value: Any) -> Any:
    """TOML values with dates and times as ISO texts."""
    if isinstance(value, dict):
        return {key: as_json(one) for key, one in value.items()}
    if isinstance(value, list):
        return [as_json(one) for one in value]
    return value.isoformat() if isinstance(value, date | datetime | time) else value


def placed(problem: str, sections: Sequence[dict[str, Any]], text: str, *, name: str, word: str) -> str:
    """A problem `rules[2].strength must ...` as `line 14, rule 3 'sale': strength must ...`, with `name` rules and
    `word` rule. Without a line if `text`, the file, is empty."""
    found = re.match(rf"^{name}\[(\d+)\](?:\.(\w+))?([\w.]*) ?", problem)
    if found is None:
        return problem
    place, field = int(found[1]), found[2] or ""
    title = sections[place].get("name")
    section = f"{word} {place + 1}" + (f" '{title}'" if isinstance(title, str) and title else "")
    line, lines = "", _lines(text, name)
    if place < len(lines):
        first, own = lines[place]
        field_start = re.compile(rf'^\s*(\[{name}\.)?"?{field}\b')
        of_field = (n for n, one in enumerate(own) if field and field_start.match(one))
        line = f"line {first + next(of_field, 0)}, "
    return f"{line}{section}: {problem.removeprefix(f'{name}[{place}]').removeprefix('.')}"


def _lines(text: str, name: str) -> list[tuple[int, list[str]]]:
    """The first line number, from 1, and the lines of each section; TOML's reader does not tell them."""
    every, header = text.splitlines(), re.compile(rf"^\s*\[\[\s*{name}\s*\]\]")
    starts = [number for number, line in enumerate(every) if header.match(line)]
    return [(start + 1, every[start:end]) for start, end in pairwise([*starts, len(every)])]
