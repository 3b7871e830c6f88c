"""Similar items: the nearest that can be had."""

import numpy as np
import pytest

from freshet.ranking.item_lists import similar_items
from tests.artifacts import artifact

pytestmark = pytest.mark.unit

ITEMS = ["a", "b", "c", "d"]


def near(length: int, *unavailable: str) -> dict[str, list[tuple[int, str, float]]]:
    """Of b, c and d as neighbours of a, and a as one of b."""
    weights = np.zeros((4, 4))
    weights[[1, 2, 3], 0], weights[0, 1] = [0.25, 0.5, 0.5], 0.125
    left_out = np.array([ITEMS.index(name) for name in unavailable], dtype=np.int64)
    made = similar_items(artifact(ITEMS, neighbours=weights), length=length, left_out=left_out)
    return {
        row["item_id"]: [(one["position"], one["item_id"], one["score"]) for one in row["items"]]
        for row in made.to_pylist()
    }


def test_the_nearest_come_first_and_equal_ones_by_id() -> None:
    assert near(3) == {"a": [(1, "c", 0.5), (2, "d", 0.5), (3, "b", 0.25)], "b": [(1, "a", 0.125)]}
    assert near(1) == {"a": [(1, "c", 0.5)], "b": [(1, "a", 0.125)]}


def test_an_unavailable_item_is_nobodys_neighbour_and_has_neighbours_of_its_own() -> None:
    assert near(2, "c") == {"a": [(1, "d", 0.5), (2, "b", 0.25)], "b": [(1, "a", 0.125)]}
    assert near(2, "a") == {"a": [(1, "c", 0.5), (2, "d", 0.5)]}


def test_without_the_model_of_neighbours_there_are_none() -> None:
    made = similar_items(artifact(ITEMS), length=3, left_out=np.empty(0, dtype=np.int64))
    assert (made.column_names, made.num_rows) == (["item_id", "items", "goes_with"], 0)


def test_what_goes_with_an_item_is_what_it_makes_likely_and_is_null_where_that_is_not_modelled() -> None:
    following = np.zeros((4, 4))
    following[0, [0, 1, 2, 3]], following[3, 0] = [9.0, 0.5, -1.0, 0.75], 0.25
    nobody = np.empty(0, dtype=np.int64)

    def goes_with(left_out: np.ndarray, **models: np.ndarray) -> dict[str, list[str] | None]:
        rows = similar_items(artifact(ITEMS, **models), length=3, left_out=left_out).to_pylist()
        return {row["item_id"]: row["goes_with"] and [one["item_id"] for one in row["goes_with"]] for row in rows}

    assert goes_with(nobody, next_items=following) == {"a": ["d", "b"], "d": ["a"]}
    assert goes_with(np.array([3]), next_items=following) == {"a": ["b"], "d": ["a"]}
    assert goes_with(nobody, neighbours=np.eye(4)[::-1]) == dict.fromkeys(ITEMS)
