"""Folders that are written once, whole or not at all, and then mapped by every worker."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

ITEMS_FILE = "items.arrow"


def write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Calls `write` for an empty folder next to `folder`, which is then renamed to it. An existing one is unchanged.

    After a failure nothing is left. Several processes may write the same folder: the first one counts.
    """
    if folder.exists():
        return
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        write(part)
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        # Another process may have written the same folder first.
        if not folder.is_dir():
            raise


def save_items(folder: Path, item_ids: pa.Array) -> None:
    """Writes the ids of items to a file of the folder."""
    table = pa.table({"item_id": item_ids})
    with pa.OSFile(str(folder / ITEMS_FILE), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def mapped_items(folder: Path) -> pa.Array:
    """The ids of `save_items`, memory-mapped."""
    with pa.memory_map(str(folder / ITEMS_FILE)) as source:
        return pa.ipc.open_file(source).read_all().column("item_id").combine_chunks()
