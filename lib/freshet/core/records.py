"""The last run of each step: a small record per step, written atomically.

A step whose inputs, settings and code equal those of its record has nothing to do; a step that was killed left no
record and is run again.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def fingerprint(parts: dict[str, Any]) -> str:
    """A hash of everything that determines a step's result; it does not depend on the order of keys."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_record(folder: Path, step: str) -> dict[str, Any] | None:
    """The step's record; None if it never finished or the file is damaged, so that the step runs again."""
    path = folder / f"{step}.json"
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def write_record(folder: Path, step: str, record: dict[str, Any]) -> None:
    """Replaces the step's record in one rename, after its bytes are on disk."""
    text = json.dumps(record, indent=1, sort_keys=True, default=str)
    write_whole(folder / f"{step}.json", text)


def write_whole(path: Path, text: str) -> None:
    """Writes a text file atomically: a reader sees the old or the new file. A failure leaves no partial file."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
