"""Reads columns of pandas, Arrow or plain Python as those of `Interactions`; all problems of a table in one error."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from freshet.core.errors import InputError, listed

WHERE = "interactions"

_MOST_STRENGTHS = 1000
"""Different strengths of one table: each is a kind of event of its own."""

_LATEST_SECONDS = 32_503_680_000
"""The year 3000. Larger numbers are milliseconds or less."""


def columns_of(data: Any) -> dict[str, Any]:
    """The columns of a data frame, an Arrow table or a mapping by name; raises InputError for anything else."""
    if isinstance(data, pd.DataFrame):
        return {str(name): data[name] for name in data.columns}
    if isinstance(data, pa.Table | pa.RecordBatch):
        return dict(zip(data.schema.names, data.columns, strict=True))
    if isinstance(data, Mapping):
        return {str(name): values for name, values in data.items()}
    raise InputError(
        "this is no table",
        where=WHERE,
        expected="a pandas DataFrame, a pyarrow Table or a dict of columns",
        found=type(data).__name__,
    )


def chosen(columns: Mapping[str, Any], names: Mapping[str, str | None], problems: list[str]) -> dict[str, pa.Array]:
    """The columns by our names, as Arrow arrays of equal length. `names` maps ours to those of the table; None: the
    column has our name and may be missing."""
    found: dict[str, pa.Array] = {}
    for ours, given in names.items():
        name = given or ours
        if name in columns:
            array = _arrow(columns[name], name, problems)
            if array is not None:
                found[ours] = array
        elif given is not None or ours in ("user_id", "item_id"):
            problems.append(f"there is no column {name} (there are: {', '.join(columns)})")
    lengths = {name: len(array) for name, array in found.items()}
    if len(set(lengths.values())) > 1:
        problems.append(f"columns differ in length: {', '.join(f'{name} {n}' for name, n in lengths.items())}")
    return found


def _arrow(values: Any, name: str, problems: list[str]) -> pa.Array | None:
    try:
        # NaN of pandas is a null, and so reported as one; so it is in a float column of NumPy.
        made = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError) as error:
        problems.append(f"{name} has values of several types, or of none that can be read: {str(error)[:80]}")
        return None
    made = pa.concat_arrays(made.chunks) if isinstance(made, pa.ChunkedArray) and made.num_chunks else made
    made = pa.array([], made.type) if isinstance(made, pa.ChunkedArray) else made
    if pa.types.is_dictionary(made.type):
        made = made.dictionary_decode()
    if made.null_count:
        first = pc.index(made.is_null(), True).as_py()
        problems.append(f"{name} has {made.null_count} nulls, the first in row {first}")
        return None
    return made


def texts(array: pa.Array, name: str, problems: list[str]) -> pa.Array | None:
    """Ids as texts; texts and integers can be ids."""
    kind = array.type
    if pa.types.is_integer(kind):
        return array.cast(pa.string())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        hint = (
            "; pandas makes floats of integers with gaps: drop those rows first" if pa.types.is_floating(kind) else ""
        )
        problems.append(f"{name} must hold texts or integers, holds {kind}{hint}")
        return None
    made = array.cast(pa.string())
    if empty := pc.sum(pc.equal(made, "")).as_py():
        problems.append(f"{name} has {empty} empty texts")
        return None
    return made


def moments(array: pa.Array, name: str, problems: list[str]) -> pa.Array | None:
    """Times as timestamps in microseconds, UTC without a zone; whole numbers are seconds since 1970."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        utc = array.cast(pa.timestamp("us", tz=kind.tz), safe=False)
        return utc.cast(pa.int64()).cast(pa.timestamp("us"))
    if pa.types.is_date(kind):
        return array.cast(pa.timestamp("us"))
    if pa.types.is_integer(kind):
        seconds = array.cast(pa.int64())
        if len(seconds) and pc.max(pc.abs(seconds)).as_py() >= _LATEST_SECONDS:
            problems.append(f"{name} must be in seconds since 1970, has {pc.max(pc.abs(seconds))}: milliseconds?")
            return None
        return pc.multiply(seconds, 1_000_000).cast(pa.timestamp("us"))
    problems.append(f"{name} must hold times, or seconds since 1970 as integers, holds {kind}; see pandas.to_datetime")
    return None


def strengths(array: pa.Array, name: str, problems: list[str]) -> pa.Array | None:
    """Strengths as doubles, each above 0 and finite."""
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        problems.append(f"{name} must hold numbers, holds {array.type}")
        return None
    made = array.cast(pa.float64())
    values = made.to_numpy(zero_copy_only=False)
    before = len(problems)
    if wrong := int((~np.isfinite(values)).sum()):
        problems.append(f"{name} has {wrong} values that are not finite")
    elif wrong := int((values <= 0).sum()):
        problems.append(f"{name} must be above 0, {wrong} values are not: leave out rows without interest")
    elif (count := len(np.unique(values))) > _MOST_STRENGTHS:
        problems.append(f"{name} has {count} different values, at most {_MOST_STRENGTHS} can be told apart: round it")
    return made if len(problems) == before else None


def raised(problems: list[str], where: str = WHERE) -> None:
    """Raises InputError with all problems, if there is any."""
    if problems:
        raise InputError(listed(problems), where=where)
