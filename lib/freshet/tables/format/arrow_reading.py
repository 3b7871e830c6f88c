"""Delta tables as Arrow datasets: the one place where rows of a table are read without Spark and without SQL."""

from pathlib import Path

import pyarrow.dataset as ds
from deltalake import DeltaTable
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem


def arrow_dataset(table: DeltaTable, folder: str | Path) -> ds.Dataset:
    """The rows of an opened table in `folder`, a path of the local disk.

    Files are opened by Arrow itself. With deltalake's own file system, which is written in Python, Arrow's reading
    threads ask for the interpreter after a read; one that asks while the interpreter ends aborts the process (exit
    code 134, "terminate called without an active exception").
    """
    return table.to_pyarrow_dataset(filesystem=SubTreeFileSystem(str(folder), LocalFileSystem()))
