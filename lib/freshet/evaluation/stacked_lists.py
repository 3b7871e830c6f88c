"""Columns of lists, side by side in one table, as rows below one another."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

_ITEMS = pa.list_(pa.string())


def stacked_lists(wide: pa.Table, *, keep: Sequence[str], name: str, columns: Mapping[str, str]) -> pa.Table:
    """(`keep`, items list<string>, `name`): the rows of `wide` once for each of `columns`, in their order.

    `columns` is from what `name` then says to the column of `wide` whose lists are the items. A null list stays null.
    """
    parts = [
        pa.table(
            {
                **{kept: wide.column(kept) for kept in keep},
                # Spark records what can be null in each column: cast to one type, they can stand in one table.
                "items": wide.column(column).cast(_ITEMS),
                name: pa.repeat(value, wide.num_rows),
            }
        )
        for value, column in columns.items()
    ]
    return pa.concat_tables(parts)
