"""The protocols of published tables: splitter, metrics and lists of the bench, on data small enough to do by hand."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from tests.benchmarks.tables.gowalla import popularity
from tests.benchmarks.tables.gowalla_data import is_late
from tests.benchmarks.tables.judged import Split, lists_of, metrics, weights_matrix
from tests.benchmarks.tables.ml_1m import NEXT, Ratings, newest_states, time_split
from tests.benchmarks.tables.ml_100k import stratified
from tests.oracles_ranking import ranking_metrics


def test_metrics_equal_the_oracle_of_the_products_own_metrics() -> None:
    rng = np.random.default_rng(3)
    truth = (rng.random((30, 40)) < 0.1).astype(np.float32)
    split = Split(csr_matrix(truth.shape), csr_matrix(truth))
    judged = np.flatnonzero(truth.any(axis=1))
    lists = np.array([rng.permutation(40)[:10] for _ in judged])
    found = metrics(lists, split)
    for place, user in enumerate(judged):
        listed, true = [str(item) for item in lists[place]], {str(item) for item in np.flatnonzero(truth[user])}
        expected = ranking_metrics(listed, true, 10)
        assert {name: found[name][place] for name in ("ndcg", "precision", "recall", "hit")} == pytest.approx(
            {name: expected[name] for name in ("ndcg", "precision", "recall", "hit")}
        )
        # This map divides by all true items, the product's by min(k, true items): the same for so few.
        assert found["map"][place] == pytest.approx(expected["map"])
        hits = [n for n, item in enumerate(listed, 1) if item in true]
        assert found["mrr"][place] == pytest.approx(1 / hits[0] if hits else 0.0)


def test_lists_leave_out_what_is_known_and_only_users_with_truth_get_one() -> None:
    weights = csr_matrix(np.array([[0.0, 3.0, 2.0, 1.0]] * 4, dtype=np.float32))
    known = csr_matrix(np.array([[0, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]], dtype=np.float32))
    truth = csr_matrix(np.array([[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float32))
    assert lists_of(known, weights, Split(known, truth), 2).tolist() == [[2, 3], [2, 3]]


def test_weights_are_at_the_row_of_the_history_and_the_column_of_the_scored_item() -> None:
    table = pa.table(
        {"item_id": ["c", "a"], "neighbours": [[{"item_id": "a", "weight": 2.0}, {"item_id": "b", "weight": -1.0}],
                                               [{"item_id": "c", "weight": 0.5}]]},
    )  # fmt: skip
    assert weights_matrix(table, ["a", "b", "c"]).toarray().tolist() == [[0, 0, 2], [0, 0, -1], [0.5, 0, 0]]


def test_the_splitter_takes_of_each_item_the_lowest_draws_three_quarters_rounded() -> None:
    items = np.array([0] * 8 + [1] * 3 + [2])
    training = stratified(items, seed=42)
    drawn = np.random.RandomState(42).rand(12)
    lowest = sorted(range(8), key=lambda row: drawn[row])[:6]
    assert sorted(np.flatnonzero(training[:8]).tolist()) == sorted(lowest)
    assert training[8:11].sum() == 2  # of 2.25
    assert training[11]  # of 0.75


def test_the_time_split_sends_all_rows_of_the_moment_to_the_test_and_drops_what_is_cold() -> None:
    times = np.arange(10)
    times[7] = 8  # the 80 % mark falls on a moment that two rows share
    ratings = Ratings(np.array([1, 2, 1, 2, 1, 2, 1, 1, 2, 9]), np.array([1, 2, 3, 4, 5, 6, 7, 1, 2, 3]), times)
    train, test = time_split(ratings)
    assert train.times.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert list(zip(test.users.tolist(), test.items.tolist(), strict=True)) == [(1, 1), (2, 2)]


def test_a_state_holds_what_came_in_the_newest_steps_and_fades_by_step() -> None:
    users, items, times = np.array([7, 7, 7, 7, 9, 7]), np.array([1, 2, 3, 1, 2, 3]), np.array([1, 5, 5, 8, 3, 0])
    states = newest_states(Ratings(users, items, times), replace(NEXT[0], decay=0.5, steps=3))
    # User 7: item 3 alone at first is four steps back and counts no more; 1, then 2 and 3 at once, then 1 again.
    assert states.toarray().tolist() == [[1.25, 0.5, 0.5], [0.0, 1.0, 0.0]]


def test_the_last_fifth_of_each_list_rounded_up_is_late_and_none_of_fewer_than_five() -> None:
    users = np.repeat([0, 2, 3, 4], [10, 4, 5, 11])
    expected = [n >= 8 for n in range(10)] + [False] * 4 + [n >= 4 for n in range(5)] + [n >= 8 for n in range(11)]
    assert is_late(users).tolist() == expected


def test_popularity_is_the_standardised_root_of_an_items_shoppers() -> None:
    known = csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]], np.float32))
    assert popularity(known) == pytest.approx([np.sqrt(1.5), 0.0, -np.sqrt(1.5)])
