"""What lists have earned, summed from table `list_outcomes` without Spark, in pieces: every list has two rows."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from freshet.contracts import LIST_OUTCOMES
from freshet.tables.format.arrow_reading import arrow_dataset
from freshet.tables.format.columns import has_commit

_KEYS = ("model_version", "model")
_SUMS = ("lists", "impressions", "clicks", "orders", "revenue")


def list_earnings(folder: Path, *, id_pattern: str) -> list[dict[str, Any]]:
    """Rows of (model_version, model, lists, impressions, clicks, orders, revenue), in the order of the first two:
    number of lists and their sums by touch model. Empty if there is no table.

    `id_pattern` is a regular expression (RE2) with a group model_version; ids that do not match it have model_version
    None and come last.
    """
    if not has_commit(folder, LIST_OUTCOMES):
        return []
    path = folder / LIST_OUTCOMES.name
    dataset = arrow_dataset(DeltaTable(str(path)), path)
    parts = []
    for batch in dataset.to_batches(columns=["recommendation_id", "model", *_SUMS[1:]]):
        found = pc.extract_regex(batch.column("recommendation_id").cast(pa.string()), id_pattern)
        columns = {
            "model_version": pc.struct_field(found, "model_version"),
            "model": batch.column("model").cast(pa.string()),
            "lists": pa.repeat(pa.scalar(1, pa.int64()), batch.num_rows),
            **{name: batch.column(name) for name in _SUMS[1:]},
        }
        parts.append(_summed(pa.table(columns)))
    rows = _summed(pa.concat_tables(parts)).to_pylist() if parts else []
    return sorted(rows, key=lambda row: (row["model_version"] is None, *(row[name] or "" for name in _KEYS)))


def _summed(rows: pa.Table) -> pa.Table:
    sums = rows.group_by(list(_KEYS)).aggregate([(name, "sum") for name in _SUMS])
    return sums.select([*_KEYS, *(f"{name}_sum" for name in _SUMS)]).rename_columns([*_KEYS, *_SUMS])
