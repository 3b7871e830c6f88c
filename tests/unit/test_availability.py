"""Items that cannot be had are in nobody's list, whatever their score; everything else stays as it was."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from freshet.contracts.policies import POLICIES
from freshet.numeric.top_k import top_k
from freshet.ranking.availability import places_of, read_unavailable, save_unavailable
from tests.artifacts import CLOCK, batch, listed, random_artifact, random_history
from tests.oracles_recommendation import best_columns, scores_of


@pytest.mark.parametrize("policy", POLICIES)
def test_lists_are_those_of_the_formula_with_the_unavailable_taken_out(policy: str) -> None:
    rng = np.random.default_rng(5)
    model = random_artifact(rng, items=40, rank=4)
    names, unavailable = model.items.to_pylist(), np.array([0, 3, 17, 39])
    shoppers = {f"u{n}": random_history(rng, names, 12) for n in range(6)}
    found = listed(batch(dict(shoppers)), model, clock=CLOCK, length=40, policy=policy, unavailable=unavailable)
    for row in found.to_pylist():
        scores = scores_of(shoppers[row["user_id"]], model, policy, CLOCK)
        expected = [names[column] for column, value in best_columns(scores, 40)
                    if column not in unavailable and np.isfinite(value)]  # fmt: skip
        assert [entry["item_id"] for entry in row["items"]] == expected
        assert [entry["position"] for entry in row["items"]] == list(range(1, len(expected) + 1))


def test_when_nothing_is_available_lists_are_empty() -> None:
    model = random_artifact(np.random.default_rng(5), items=4, rank=2)
    found = listed(batch({"u": []}), model, clock=CLOCK, length=3, policy="next_baskets", unavailable=np.arange(4))
    assert found.column("items").to_pylist() == [[]]


def test_a_file_holds_each_id_once_in_order_and_is_the_same_for_the_same_ids(tmp_path: Path) -> None:
    path = save_unavailable(pa.array(["b", "a", None, "b"]), tmp_path / "new")
    assert path is not None
    assert read_unavailable(path).to_pylist() == ["a", "b"]
    assert save_unavailable(pa.array(["a", "b"]), tmp_path / "new") == path
    assert save_unavailable(pa.array(["a"]), tmp_path / "new") != path
    assert save_unavailable(pa.array([], pa.string()), tmp_path) is None
    assert sorted(file.suffix for file in (tmp_path / "new").iterdir()) == [".arrow", ".arrow"]


def test_places_leave_out_what_the_catalogue_does_not_have() -> None:
    assert places_of(pa.array(["d", "a", "x"]), pa.array(["a", "b", "d"])).tolist() == [2, 0]


def test_minus_infinity_never_displaces_a_finite_score() -> None:
    scores = np.full((1, 200), -np.inf, dtype=np.float32)
    scores[0, 150] = -5.0
    columns, values = top_k(scores, 2)
    assert columns[0, 0] == 150
    assert values[0].tolist() == [-5.0, -np.inf]
