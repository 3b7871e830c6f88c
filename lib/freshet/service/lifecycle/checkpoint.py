"""The folder of a query's checkpoint, marked with all that must not change under it."""

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freshet.cleaning.meaning import meaning_of_text
from freshet.core.errors import StateError
from freshet.core.records import fingerprint, read_record, write_record

_RECORD = "made-for"


def newest_number(folder: Path) -> int | None:
    """The number of the newest micro-batch in `offsets` (started) or `commits` (finished) of a query; None if there is
    none."""
    return max((int(file.name) for file in folder.glob("*") if file.name.isdigit()), default=None)


def query_folder(checkpoints: Path, query: str) -> Path:
    """The folder of a query of the service, below the `checkpoints` of a home."""
    return checkpoints / "service" / query


def has_finished_batch(folder: Path) -> bool:
    """Whether the query in `query_folder` has finished a micro-batch; before that it has no offsets to resume from."""
    return newest_number(folder / "query" / "commits") is not None


def source_offset(query: Path, batch_id: int) -> dict[str, Any]:
    """The offset up to which a micro-batch has read the query's only source, in the source's format."""
    # A line for the log's version, one for the micro-batch, one for each source.
    lines = (query / "offsets" / str(batch_id)).read_text(encoding="utf-8").splitlines()
    offset: dict[str, Any] = json.loads(lines[2])
    return offset


@dataclass(frozen=True)
class Checkpoint:
    """`id` is new for every checkpoint, also after starting over, so it identifies the rows that were written with
    it."""

    folder: Path
    id: str

    @property
    def query(self) -> Path:
        """The checkpoint of Spark; next to it is the record of what it was made for."""
        return self.folder / "query"


def opened_checkpoint(folder: Path, parts: dict[str, Any]) -> Checkpoint:
    """The checkpoint in `folder`, created if there is none. `parts`: by name what must not change while it is used.

    A mapping may be recorded as the text of its file, as earlier versions did: its meaning is compared. Raises
    StateError that names what has changed."""
    known = read_record(folder, _RECORD)
    if known is None:
        folder.mkdir(parents=True, exist_ok=True)
        known = {"fingerprint": fingerprint(parts), "id": uuid.uuid4().hex[:12], "parts": parts}
        write_record(folder, _RECORD, known)
    elif known["fingerprint"] != fingerprint(parts):
        before = dict(known["parts"])
        if "mapping" in before:
            before["mapping"] = meaning_of_text(str(before["mapping"]))
        changed = [name for name in sorted({*before, *parts}) if before.get(name) != parts.get(name)]
        if changed:
            raise StateError(
                f"the stream was started with another {', '.join(changed)}", where=str(folder),
                do="Change it back, or start over with --rebuild: nothing is lost or doubled",
            )  # fmt: skip
    return Checkpoint(folder, str(known["id"]))
