"""How weights leave the task that makes them: as rows, or as an error of ours."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_info

from freshet.core.errors import SetupError
from freshet.models.items.item_weights import check_memory, weight_batches, without_refusal
from freshet.numeric.coded_rows import CodedRows

ROWS = pa.RecordBatch.from_pydict({"user_id": ["u", "u", "v"], "item_id": ["c", "a", "b"], "value": [1.0, 2.0, 3.0]})


def test_weights_are_listed_highest_first_ties_by_id_and_items_without_any_are_absent() -> None:
    def fit(rows: CodedRows) -> csr_matrix:
        assert rows.matrix().toarray().tolist() == [[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]]
        return csr_matrix(np.array([[0.0, -1.0, 2.0], [0.0, 0.0, 0.0], [0.5, 0.5, 0.0]], dtype=np.float32))

    (batch,) = weight_batches(iter([ROWS]), fit, threads=1)
    assert without_refusal(pa.Table.from_batches([batch])).to_pylist() == [
        {"item_id": "a", "neighbours": [{"item_id": "c", "weight": 2.0}, {"item_id": "b", "weight": -1.0}]},
        {"item_id": "c", "neighbours": [{"item_id": "a", "weight": 0.5}, {"item_id": "b", "weight": 0.5}]},
    ]


def test_no_rows_give_no_batch_and_no_fit() -> None:
    assert list(weight_batches(iter([]), lambda rows: pytest.fail("fitted"), threads=1)) == []


def test_an_error_of_ours_comes_out_as_it_was_raised() -> None:
    def fit(rows: CodedRows) -> csr_matrix:
        check_memory(3_000_000_000, 2.0, items=len(rows.item_ids), setting="some.memory_gb")
        return pytest.fail("went on")

    (batch,) = weight_batches(iter([ROWS]), fit, threads=1)
    with pytest.raises(SetupError) as caught:
        without_refusal(pa.Table.from_batches([batch]))
    assert caught.value.line() == (
        "some.memory_gb: a model of items by items needs more memory than is allowed; expected at most 2 GB; "
        "found 3.0 GB for 3 items. Allow more, or lower dense_items: fewer items are then solved exactly"
    )


def test_memory_that_just_suffices_is_no_error() -> None:
    check_memory(2_000_000_000, 2.0, items=3, setting="some.memory_gb")


@pytest.mark.parametrize("threads", [1, 2])
def test_the_fit_runs_on_so_many_threads_and_leaves_the_setting_as_it_was(threads: int) -> None:
    def counts() -> list[int]:
        return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]

    before, inside = counts(), []

    def fit(rows: CodedRows) -> csr_matrix:
        inside.extend(counts())
        return csr_matrix((3, 3), dtype=np.float32)

    list(weight_batches(iter([ROWS]), fit, threads=threads))
    assert set(inside) == {threads}
    assert counts() == before
