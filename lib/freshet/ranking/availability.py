"""Unavailable items as an immutable file next to the models: written once, memory-mapped by every worker."""

import hashlib
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def save_unavailable(item_ids: pa.Array, folder: Path) -> Path | None:
    """The file of these ids in `folder`, named by its content; None without ids.

    Ids may be in any order and repeated; nulls are ignored. An existing file is kept unchanged and marked as in use.
    """
    ids = pc.unique(pc.drop_null(item_ids.cast(pa.string())))
    if not len(ids):
        return None
    ordered = ids.take(pc.sort_indices(ids))
    mark = hashlib.sha256("\n".join(ordered.to_pylist()).encode()).hexdigest()[:16]
    path = folder / f"unavailable-{mark}.arrow"
    if not mark_used(path):
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, pa.schema([("item_id", pa.string())])) as writer:
            writer.write_table(pa.table({"item_id": ordered}))
        part.replace(path)
    return path


def mark_used(path: Path) -> bool:
    """Sets the time of the file to now, so that `drop_unused` keeps it. False if there is no such file."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def drop_unused(folder: Path, *, before: datetime) -> None:
    """Removes files of `save_unavailable` that have not been marked as in use since `before` (UTC, without zone)."""
    limit = before.replace(tzinfo=UTC).timestamp()
    for file in folder.glob("*.arrow"):
        with suppress(FileNotFoundError):
            if file.stat().st_mtime < limit:
                file.unlink()


def read_unavailable(path: Path) -> pa.Array:
    """The ids of a file of `save_unavailable`, in rising order."""
    with pa.memory_map(str(path)) as source:
        column = pa.ipc.open_file(source).read_all().column("item_id")
        return pa.concat_arrays(column.chunks)


def places_of(item_ids: pa.Array, items: pa.Array) -> NDArray[np.int64]:
    """The positions of these ids in a catalogue; unknown ids are left out."""
    return pc.drop_null(pc.index_in(item_ids, value_set=items)).to_numpy().astype(np.int64)
