"""Items that cannot be had, as an immutable file beside the models: written once, mapped by every worker."""

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
    """The file of these ids in `folder`, named by its content; None where there are none.

    Ids in any order, repeated ones count once, nulls do not. A file that is there is left as it is, marked as in use.
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
    """Gives the file the present as its time, by which `drop_unused` goes. False where there is no such file."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def drop_unused(folder: Path, *, before: datetime) -> None:
    """Removes the files of `save_unavailable` that nobody has marked as in use since a moment (UTC, without zone)."""
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
    """Where these ids stand in a catalogue; ids that it does not have are left out."""
    return pc.drop_null(pc.index_in(item_ids, value_set=items)).to_numpy().astype(np.int64)
