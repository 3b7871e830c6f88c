"""Lists of items, best first, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from freshet.evaluation.ranking import entries_of
from freshet.lab.columns import raised

_ENTRIES = pa.list_(pa.struct([
    ("position", pa.int32()), ("item_id", pa.string()), ("score", pa.float64()), ("reason", pa.string()),
]))  # fmt: skip


@dataclass(frozen=True)
class Lists:
    """A list per case. `table`: user_id string, items list<position from 1, item_id, score, reason>; score and reason
    are null where a list came without. `policy`: what the lists may hold; None where that is not known."""

    table: pa.Table
    policy: str | None
    user_type: pa.DataType
    item_type: pa.DataType

    @staticmethod
    def of(lists: Mapping[Any, Sequence[Any]], *, policy: str | None = None) -> "Lists":
        """Lists that were made elsewhere: items, best first, by user. Ids are texts or integers, and compared as texts.

        Raises InputError for nulls and for anything that is no list.
        """
        problems = [f"the list of {user!r} is no list but {type(items).__name__}"
                    for user, items in lists.items() if not isinstance(items, list | tuple | np.ndarray)]  # fmt: skip
        raised(problems[:5], "lists")
        users, flat = pa.array(list(lists)), pa.array([item for items in lists.values() for item in items])
        problems = [
            f"{name} holds {ids.type} with {ids.null_count} nulls, not texts or integers alone"
            for name, ids in (("user_id", users), ("items", flat))
            if len(ids) and (ids.null_count or not (pa.types.is_integer(ids.type) or pa.types.is_string(ids.type)))
        ]
        raised(problems, "lists")
        ends = np.concatenate([[0], np.cumsum([len(items) for items in lists.values()])]).astype(np.int32)
        made = pa.ListArray.from_arrays(pa.array(ends), flat.cast(pa.string()))
        return Lists.from_items(users.cast(pa.string()), made, policy=policy, types=(users.type, flat.type))

    @staticmethod
    def from_items(
        users: pa.Array, items: pa.ListArray, *, policy: str | None, types: tuple[pa.DataType, pa.DataType]
    ) -> "Lists":
        """From lists of texts without scores; `types` are those of the ids of users and items."""
        _, place, texts = entries_of(items)
        values = [pa.array(place + 1, pa.int32()), texts, pa.nulls(len(texts), pa.float64()),
                  pa.nulls(len(texts), pa.string())]  # fmt: skip
        entries = pa.StructArray.from_arrays(values, [field.name for field in _ENTRIES.value_type])
        table = pa.table({"user_id": users, "items": pa.ListArray.from_arrays(items.offsets, entries)})
        return Lists(table, policy, *types)

    @staticmethod
    def from_entries(table: pa.Table, *, policy: str | None, types: tuple[pa.DataType, pa.DataType]) -> "Lists":
        """From (user_id, items list<position, item_id, score and perhaps reason>), as the engine makes them."""
        lists = table.column("items").combine_chunks()
        lists = pa.concat_arrays(lists.chunks) if isinstance(lists, pa.ChunkedArray) else lists
        entries = lists.flatten()
        known = [field.name for field in lists.type.value_type]
        values = [
            entries.field(field.name).cast(field.type) if field.name in known else pa.nulls(len(entries), field.type)
            for field in _ENTRIES.value_type
        ]
        ends = np.concatenate([[0], np.cumsum(pc.list_value_length(lists).to_numpy())]).astype(np.int32)
        made = pa.ListArray.from_arrays(
            pa.array(ends), pa.StructArray.from_arrays(values, [field.name for field in _ENTRIES.value_type])
        )
        return Lists(pa.table({"user_id": table.column("user_id"), "items": made}), policy, *types)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def items(self) -> pa.Table:
        """(user_id string, items list<string>), as metrics read them."""
        lists = self._lists()
        names = pa.ListArray.from_arrays(lists.offsets, lists.values.field("item_id"))
        return pa.table({"user_id": self.table.column("user_id"), "items": names})

    def _lists(self) -> pa.ListArray:
        whole = self.table.column("items").combine_chunks()
        return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole

    def to_dict(self) -> dict[Any, list[Any]]:
        """The items by user, with ids of their original types."""
        users = self.table.column("user_id").cast(self.user_type).to_pylist()
        lists = self._lists()
        ids = pa.ListArray.from_arrays(lists.offsets, lists.values.field("item_id").cast(self.item_type))
        return dict(zip(users, ids.to_pylist(), strict=True))

    def to_arrow(self) -> pa.Table:
        """(user_id, position, item_id, score, reason), a row per place of a list, with ids of their original types."""
        lists = self._lists()
        owner, _, entries = entries_of(lists)
        users = self.table.column("user_id").take(pa.array(owner)).cast(self.user_type)
        columns = {name: entries.field(name) for name in ("position", "item_id", "score", "reason")}
        columns["item_id"] = columns["item_id"].cast(self.item_type)
        return pa.table({"user_id": users, **columns})

    def to_pandas(self) -> pd.DataFrame:
        """`to_arrow` as a data frame."""
        return self.to_arrow().to_pandas()
