"""Numbers in place of texts that come again and again: item ids, event names."""

import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


class Codes:
    """A table (code, text) of a database, all of it in memory; a new text gets the next number from 0."""

    def __init__(self, base: sqlite3.Connection, table: str) -> None:
        self._base, self._table = base, table
        self.texts = pa.array([], pa.string())
        self.forget()

    def forget(self) -> None:
        """What was added since the last commit was taken back: `texts` as they stand in the table."""
        rows = self._base.execute(f"select text from {self._table} order by code")
        self.texts = pa.array([text for (text,) in rows], pa.string())

    def of(self, texts: pa.ChunkedArray) -> NDArray[np.int64]:
        """The codes of these texts, new ones added; none of them is null."""
        plain = texts.cast(pa.string())
        found = pc.index_in(plain, value_set=self.texts)
        if found.null_count:
            new = pc.unique(plain.filter(pc.is_null(found)))
            rows = zip(range(len(self.texts), len(self.texts) + len(new)), new.to_pylist(), strict=True)
            self._base.executemany(f"insert into {self._table} values (?, ?)", rows)
            self.texts = pa.concat_arrays([self.texts, new])
            found = pc.index_in(plain, value_set=self.texts)
        return found.to_numpy().astype(np.int64)
