"""Integer codes for texts that repeat: item ids, event names."""

import sqlite3

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


class Codes:
    """A table (code, text) of a database, completely in memory; new texts are numbered from 0."""

    def __init__(self, base: sqlite3.Connection, table: str) -> None:
        self._base, self._table = base, table
        self.texts = pa.array([], pa.string())
        self._codes: dict[str, int] = {}
        self.forget()

    def forget(self) -> None:
        """Reads the table again, after additions since the last commit were rolled back."""
        rows = self._base.execute(f"select text from {self._table} order by code")
        self._codes = {text: code for code, (text,) in enumerate(rows)}
        self.texts = pa.array(list(self._codes), pa.string())

    def of(self, texts: pa.ChunkedArray) -> NDArray[np.int64]:
        """The codes of these texts, adding those that are new; none is null."""
        named = texts.cast(pa.string()).combine_chunks().dictionary_encode()
        each = named.dictionary.to_pylist()
        new = [text for text in each if text not in self._codes]
        if new:
            rows = list(enumerate(new, start=len(self._codes)))
            self._base.executemany(f"insert into {self._table} values (?, ?)", rows)
            self._codes.update((text, code) for code, text in rows)
            self.texts = pa.concat_arrays([self.texts, pa.array(new, pa.string())])
        # One by one: pyarrow's look-up would index all texts of the table, tens of thousands, in every call.
        codes = np.array([self._codes[text] for text in each], dtype=np.int64)
        return codes[named.indices.to_numpy(zero_copy_only=False)]
