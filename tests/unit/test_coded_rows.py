"""Arrow batches as coded rows."""

import pyarrow as pa

from freshet.numeric.coded_rows import coded_rows


def test_a_matrix_from_batches_has_items_in_rising_order_and_one_row_per_shopper_however_rows_come() -> None:
    def rows(*values: tuple[str, str, float]) -> pa.RecordBatch:
        users, items, strengths = zip(*values, strict=True)
        return pa.RecordBatch.from_arrays(
            [pa.array(users), pa.array(items), pa.array(strengths)], ["user_id", "item_id", "strength"]
        )

    first, second = rows(("u2", "c", 1.0), ("u1", "a", 2.0)), rows(("u2", "b", 3.0), ("u1", "c", 4.0))
    found = coded_rows(iter([first, second]))
    assert found.item_ids.to_pylist() == ["a", "b", "c"]
    assert found.matrix().toarray().tolist() == [[2.0, 0.0, 4.0], [0.0, 3.0, 1.0]]
    again = coded_rows(iter([second, first]))
    assert again.matrix().toarray().tolist() == found.matrix().toarray().tolist()
    nothing = coded_rows(iter([]))
    assert nothing.matrix().shape == (0, 0)
    assert len(nothing.item_ids) == 0
