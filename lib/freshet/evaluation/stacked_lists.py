"""Stacks several list columns of a table as rows."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

_ITEMS = pa.list_(pa.string())


def stacked_lists(wide: pa.Table, *, keep: Sequence[str], name: str, columns: Mapping[str, str]) -> pa.Table:
    """(`keep`, items list<string>, `name`): the rows of `wide` once for each of `columns`, in their order.

    `columns` maps the value of column `name` to the column of `wide` with the lists. A null list stays null.
    """
    parts = [
        pa.table(
            {
                **{kept: wide.column(kept) for kept in keep},
                # Spark records nullability in each column: after a cast to one type they fit into one table.
                "items": wide.column(column).cast(_ITEMS),
                name: pa.repeat(value, wide.num_rows),
            }
        )
        for value, column in columns.items()
    ]
    return pa.concat_tables(parts)
