"""KMeans over tasks: against plain loops, the same however rows are spread, and on rows that are hard to part."""

import numpy as np
import pytest

from freshet.models.segments.lloyd import Clusters, lloyd, nearest, sample, seeded
from freshet.numeric.blocks import cut
from freshet.numeric.collective import Alone
from tests.gang import in_tasks

pytestmark = pytest.mark.unit


def blobs(seed: int, k: int = 6, each: int = 80, columns: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    middles = random.normal(0, 10, (k, columns))
    rows = np.concatenate([middle + random.normal(0, 1, (each, columns)) for middle in middles])
    return random.permutation(rows - rows.mean(axis=0)).astype(np.float32)


def plainly(rows: np.ndarray, centres: np.ndarray, steps: int) -> tuple[np.ndarray, float]:
    """Lloyd's algorithm as one would write it down first; the cost before the last move."""
    rows = rows.astype(float)
    for _ in range(steps):
        distances = np.array([[((row - centre) ** 2).sum() for centre in centres] for row in rows])
        labels, cost = distances.argmin(axis=1), distances.min(axis=1).sum()
        centres = np.array([rows[labels == n].mean(axis=0) for n in range(len(centres))])
    return centres, cost


def clustered(rows: np.ndarray, k: int, tasks: int = 1, seed: int = 1) -> Clusters:
    def work(part: np.ndarray, peers: object) -> Clusters:
        blocks = list(cut(part))
        known = sample(blocks, rows.shape[1], peers, at_most=10_000)  # type: ignore[arg-type]
        start = seeded(known, k, peers, seed=seed, starts=4, steps=10)  # type: ignore[arg-type]
        return lloyd(blocks, start, peers, max_iter=20)  # type: ignore[arg-type]

    made = in_tasks(work, [rows[rank::tasks] for rank in range(tasks)])
    assert all(np.array_equal(other.centres, made[0].centres) for other in made)
    return made[0]


@pytest.mark.parametrize("seed", [1, 2])
def test_iterations_are_those_of_plain_loops(seed: int) -> None:
    rows = blobs(seed)
    start = rows[:6].astype(float)
    made = lloyd(list(cut(rows)), start, Alone(), max_iter=3)
    centres, cost = plainly(rows, start, 3)
    assert made.centres == pytest.approx(centres, abs=1e-4)
    assert made.cost == pytest.approx(cost, rel=1e-5)
    assert made.passes == 3


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_groups_far_apart_are_found_from_every_seed(seed: int) -> None:
    rows = blobs(9, k=8)
    costs = [clustered(rows, 8, seed=start).cost for start in (seed, seed + 10)]
    assert max(costs) < 8 * 80 * 3 * 1.3


@pytest.mark.parametrize("tasks", [2, 4])
def test_the_same_from_one_and_from_several_tasks(tasks: int) -> None:
    rows = blobs(3)
    one, several = clustered(rows, 6), clustered(rows, 6, tasks)
    assert several.centres == pytest.approx(one.centres, abs=1e-4)
    assert several.cost == pytest.approx(one.cost, rel=1e-5)


def test_a_sample_depends_on_content_alone() -> None:
    rows = blobs(4, each=500)
    one = in_tasks(lambda part, peers: sample([part], 3, peers, at_most=300), [rows])[0]
    shuffled = np.random.default_rng(0).permutation(rows)
    several = in_tasks(lambda part, peers: sample([part], 3, peers, at_most=300), [shuffled[:10], shuffled[10:]])[1]
    assert np.array_equal(one, several)
    assert 200 < len(one) < 400
    assert len(sample([rows], 3, Alone(), at_most=len(rows))) == len(rows)


@pytest.mark.parametrize("different", [1, 2, 4])
def test_fewer_different_rows_than_centres_make_fewer_centres_and_no_cost(different: int) -> None:
    rows = np.repeat(np.arange(different, dtype=np.float32)[:, None] * [1.0, -2.0] + 0.1, 30, axis=0).astype(np.float32)
    made = clustered(rows, 5)
    assert len(made.centres) == different
    assert made.cost == pytest.approx(0.0, abs=1e-3)


def test_a_centre_that_no_row_is_nearest_to_stays() -> None:
    rows = np.array([[0.0], [1.0]], dtype=np.float32)
    made = lloyd([rows], np.array([[0.5], [99.0]]), Alone(), max_iter=5)
    assert made.centres.tolist() == [[0.5], [99.0]]


def test_of_equally_near_centres_the_first_is_taken() -> None:
    labels, distances = nearest(np.zeros((1, 2), np.float32), np.array([[1.0, 0.0], [0.0, 1.0]], np.float32))
    assert (labels.tolist(), distances.tolist()) == ([0], [1.0])


def test_a_task_without_rows_takes_part() -> None:
    rows = blobs(5)
    parts = [rows, rows[:0]]
    made = in_tasks(lambda part, peers: lloyd([part], rows[:4].astype(float), peers, max_iter=4), parts)
    assert made[1].centres == pytest.approx(plainly(rows, rows[:4].astype(float), 4)[0], abs=1e-4)
