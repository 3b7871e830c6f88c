"""Rows kept as float32 before their moments are known: against standardizing the originals."""

import numpy as np
import pytest

from freshet.models.propensity.gathered import GatheredRows
from freshet.numeric.blocks import Floats, Halves, Moments, alike, moments, standardized
from freshet.numeric.collective import Alone
from tests.gang import in_tasks

pytestmark = pytest.mark.unit


def taken(blocks: list[Floats], tasks: int = 1) -> tuple[list[Halves], Moments]:
    """What tasks make of blocks that they take in turns, in the order of the blocks, and the moments they found."""

    def task(own: list[Floats], peers: object) -> tuple[list[Halves], Moments]:
        gathered = GatheredRows()
        for block in own:
            gathered.add(block, np.ones(len(block)))
        known = gathered.moments(peers)  # type: ignore[arg-type]
        return gathered.standardized(known), known

    made = in_tasks(task, [blocks[rank::tasks] for rank in range(tasks)])
    return [made[number % tasks][0][number // tasks] for number in range(len(blocks))], made[0][1]


def plain(blocks: list[Floats]) -> tuple[list[Halves], Moments]:
    known = moments(alike(np.concatenate(blocks)), blocks[0].shape[1], Alone())
    return [standardized(block, known) for block in blocks], known


def drawn(number: int, scale: float = 1.0, middle: float = 0.0) -> list[Floats]:
    random = np.random.default_rng(7)
    return [random.normal(middle, scale, (20, 3)) for _ in range(number)]


@pytest.mark.parametrize("tasks", [1, 3, 8])
@pytest.mark.parametrize(("scale", "middle"), [(1.0, 0.0), (1e-9, 0.0), (0.5, 1e7), (1e60, -1e60), (1e-60, 0.0)])
def test_rows_are_standardized_as_if_the_moments_had_been_known(tasks: int, scale: float, middle: float) -> None:
    blocks = drawn(7, scale, middle)
    (made, known), (expected, expected_moments) = taken(blocks, tasks), plain(blocks)
    np.testing.assert_allclose(known.mean, expected_moments.mean, rtol=1e-12)
    np.testing.assert_allclose(known.deviation, expected_moments.deviation, rtol=1e-7)
    for own, other in zip(made, expected, strict=True):
        assert own.dtype == np.float32
        np.testing.assert_allclose(own, other, atol=2e-6)


@pytest.mark.parametrize("first", ["far away", "constant", "nearly constant", "much wider", "much narrower"])
def test_a_first_block_that_says_nothing_of_the_others_does_no_harm(first: str) -> None:
    blocks = drawn(50)
    change = {
        "far away": lambda block: block + 1e9,
        "constant": lambda block: np.full_like(block, 0.1),
        "nearly constant": lambda block: 0.1 + block * 1e-14,
        "much wider": lambda block: block * 1e30,
        "much narrower": lambda block: block * 1e-30,
    }
    blocks[0] = change[first](blocks[0])
    for own, other in zip(taken(blocks)[0], plain(blocks)[0], strict=True):
        np.testing.assert_allclose(own, other, atol=1e-5)


def test_what_does_not_fit_float32_about_the_first_block_is_kept_as_it_came() -> None:
    huge = np.array([[1e50], [-1e50]])
    gathered = GatheredRows()
    for block in (np.full((4, 1), 1e-30), huge, np.zeros((2, 1))):
        gathered.add(block, np.ones(len(block)))
    known = gathered.moments(Alone())
    assert known.deviation == pytest.approx([np.sqrt(2e100 / 7)])
    # Kept, not a view of what came.
    huge[:] = 0.0
    assert gathered.standardized(known)[1][:, 0] == pytest.approx([np.sqrt(3.5), -np.sqrt(3.5)])


def test_constant_columns_become_0() -> None:
    blocks = [np.full((5, 2), 0.1) for _ in range(4)]
    made, known = taken(blocks, tasks=2)
    assert known.deviation.tolist() == [0.0, 0.0]
    assert np.abs(made).max() < 1e-12


def test_tasks_without_rows_and_no_rows_at_all() -> None:
    made, known = taken(drawn(1), tasks=2)
    assert known.weight == 20
    assert len(made[0]) == 20
    assert len(in_tasks(lambda _, peers: GatheredRows().moments(peers), [0, 1])[0].mean) == 0


@pytest.mark.filterwarnings("ignore:invalid value")
def test_an_unknown_number_makes_the_mean_unknown() -> None:
    _, known = taken([np.array([[1.0, np.nan], [2.0, 1.0]]), np.array([[np.inf, 1.0]])])
    assert not np.isfinite(known.mean).any()
