"""Columns of lists below one another."""

import pyarrow as pa

from freshet.evaluation.stacked_lists import stacked_lists


def test_columns_that_differ_in_nullability_are_stacked() -> None:
    never_null = pa.list_(pa.field("element", pa.string(), nullable=False))
    schema = pa.schema(
        [
            pa.field("user_id", pa.string()),
            pa.field("before", never_null),
            pa.field("after", pa.list_(pa.string()), nullable=False),
        ]
    )
    wide = pa.table({"user_id": ["u1", "u2"], "before": [["a"], None], "after": [["b", "c"], []]}, schema=schema)

    long = stacked_lists(wide, keep=["user_id"], name="model", columns={"old": "before", "new": "after"})

    assert long.to_pylist() == [
        {"user_id": "u1", "items": ["a"], "model": "old"},
        {"user_id": "u2", "items": None, "model": "old"},
        {"user_id": "u1", "items": ["b", "c"], "model": "new"},
        {"user_id": "u2", "items": [], "model": "new"},
    ]
