"""Strengths from a block of histories: against plain loops, and against the SQL of the table `interactions`."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from freshet.features.interactions import InteractionParameters, histories, interactions
from freshet.ranking.histories.history_block import HistoryBlock, read_block
from tests.artifacts import CLOCK, random_history
from tests.artifacts import histories as arrow_histories
from tests.factories import days, event, events_frame
from tests.oracles_recommendation import Entry, strengths_of

ITEMS = [f"i{n}" for n in range(6)]
WEIGHTS = {"purchase": 1.0, "refund": -1.3}


def _block(*each: list[Entry] | None, items: list[str] | None = None, clock: datetime = CLOCK) -> HistoryBlock:
    known = pa.array(ITEMS if items is None else items, pa.string())
    return read_block(arrow_histories(*each), items=known, event_names=list(WEIGHTS), clock=clock)


def _ago(count: float) -> datetime:
    return CLOCK - timedelta(days=count)


@pytest.mark.parametrize("half_life", [None, 3.0, 90.0])
@pytest.mark.parametrize("at_least", [0.0, 0.3])
def test_strengths_equal_a_loop_over_the_entries(half_life: float | None, at_least: float) -> None:
    rng = np.random.default_rng(1)
    known_and_unknown = [*ITEMS, "gone"]
    shoppers = [random_history(rng, known_and_unknown, int(length)) for length in rng.integers(0, 40, 30)]
    found = _block(*shoppers).strengths(np.array(list(WEIGHTS.values())), half_life, at_least=at_least)
    for n, history in enumerate(shoppers):
        expected = strengths_of(history, WEIGHTS, half_life, CLOCK)
        wanted = [expected.get(item, 0.0) for item in ITEMS]
        np.testing.assert_allclose(
            found[n].toarray().ravel(), [v if v > 0 and v >= at_least else 0.0 for v in wanted], atol=1e-12
        )
    assert found.has_canonical_format


def test_a_repeated_line_of_an_order_counts_once_at_its_last_time() -> None:
    history = [(_ago(10), "i1", "purchase", "o1"), (_ago(4), "i1", "purchase", "o1")]
    assert _block(history).strengths(np.array([1.0, -1.0]), 4.0).toarray()[0, 1] == 0.5


def test_a_refund_lowers_and_what_is_left_at_zero_or_below_is_no_strength() -> None:
    history = [
        (_ago(8), "i0", "purchase", "o1"),
        (_ago(8), "i0", "purchase", "o2"),
        (_ago(8), "i0", "refund", "r1"),
        (_ago(8), "i1", "purchase", "o1"),
        (_ago(2), "i1", "refund", "r1"),
    ]
    strengths = _block(history).strengths(np.array([1.0, -1.0]), None)
    assert strengths.toarray().tolist() == [[1.0, 0, 0, 0, 0, 0]]
    assert strengths.nnz == 1


def test_an_event_after_the_clock_counts_as_fresh() -> None:
    assert _block([(_ago(-3), "i2", "purchase", "o1")]).strengths(np.array([1.0, -1.0]), 1.0).toarray()[0, 2] == 1.0


def test_unknown_items_are_counted_and_unweighed_events_are_not() -> None:
    history = [
        (_ago(1), "gone", "purchase", "o1"),
        (_ago(2), "gone", "refund", "o2"),
        (_ago(3), "gone", "view_item", "v1"),
        (_ago(4), "i0", "view_item", "v2"),
    ]
    block = _block(history, [])
    assert block.unknown.tolist() == [2, 0]
    assert len(block.row) == 0


def test_touched_marks_items_of_the_event_only_and_nothing_for_an_unknown_event() -> None:
    block = _block([(_ago(1), "i3", "purchase", "a"), (_ago(2), "i3", "purchase", "b"), (_ago(3), "i4", "refund", "c")])
    assert block.touched(0).toarray().tolist() == [[0, 0, 0, 1, 0, 0]]
    assert block.touched(1).toarray().tolist() == [[0, 0, 0, 0, 1, 0]]
    assert block.touched(-1).nnz == 0


def test_a_state_weighs_each_item_by_how_many_moments_ago_it_was_taken() -> None:
    history = [
        (_ago(1), "i0", "purchase", "o1"),
        (_ago(1), "i1", "purchase", "o1"),
        (_ago(2), "i5", "refund", "o2"),  # counts not, and makes no step
        (_ago(3), "gone", "purchase", "o3"),  # an unknown item makes none either
        (_ago(3.5), "i4", "purchase", "o8"),  # nor one that is not wanted
        (_ago(4), "i1", "purchase", "o4"),
        (_ago(4), "i1", "purchase", "o5"),  # the same moment: once
        (_ago(9), "i2", "purchase", "o6"),
        (_ago(10), "i3", "purchase", "o7"),  # a step too far back
    ]
    events, items = np.array([True, False]), np.array([True, True, True, True, False, True])
    found = _block([], history, [(_ago(7), "i3", "purchase", "o1")]).states(events, items, decay=0.5, steps=3)
    assert found.dtype == np.float32
    assert found.toarray().tolist() == [[0] * 6, [1.0, 1.5, 0.25, 0, 0, 0], [0, 0, 0, 1.0, 0, 0]]


def test_each_step_has_the_items_of_one_moment() -> None:
    history = [
        (_ago(1), "i0", "purchase", "o1"),
        (_ago(1), "i1", "purchase", "o1"),
        (_ago(2), "i5", "refund", "o2"),  # counts not, and makes no step
        (_ago(4), "i1", "purchase", "o4"),
        (_ago(4), "i1", "purchase", "o5"),
        (_ago(9), "i2", "purchase", "o6"),
    ]
    block = _block([], history, [(_ago(7), "i3", "purchase", "o1")])
    found = [block.at_step(np.array([True, False]), step) for step in range(4)]
    assert {each.dtype for each in found} == {np.dtype(np.float32)}
    assert [np.argwhere(each.toarray() == 1).tolist() for each in found] == [
        [[1, 0], [1, 1], [2, 3]], [[1, 1]], [[1, 2]], [],
    ]  # fmt: skip
    assert all(each.sum() == each.nnz for each in found)
    # The same histories by other events: steps are computed once for each selection.
    assert np.argwhere(block.at_step(np.array([False, True]), 0).toarray()).tolist() == [[1, 5]]
    assert np.argwhere(block.at_step(np.array([True, True]), 1).toarray()).tolist() == [[1, 5]]


def test_the_newest_event_of_an_item_decays() -> None:
    history = [
        (_ago(30), "i0", "purchase", "o1"),
        (_ago(60), "i0", "purchase", "o2"),
        (_ago(0), "i1", "refund", "o3"),  # counts not
        (_ago(60), "i1", "purchase", "o4"),
        (_ago(90_000), "i2", "purchase", "o5"),  # so old that nothing is left
    ]
    block = _block([], history)
    events = np.array([True, False])
    found = block.newest(events, 30.0)
    assert found.dtype == np.float32
    assert found.toarray().tolist() == [[0] * 6, [0.5, 0.25, 0, 0, 0, 0]]
    assert block.newest(events, None).toarray().tolist() == [[0] * 6, [1, 1, 1, 0, 0, 0]]
    assert _block().newest(events, 30.0).shape == (0, 6)


def test_without_events_that_count_a_state_is_empty() -> None:
    for block in (_block(), _block([]), _block([(_ago(1), "i0", "refund", "o1")])):
        assert block.states(np.array([True, False]), np.ones(6, dtype=bool), decay=0.5, steps=2).nnz == 0
        assert block.at_step(np.array([True, False]), 0).nnz == 0


@pytest.mark.parametrize("shoppers", [[], [None], [[], None, []]])
def test_no_entries_give_an_empty_matrix_of_the_right_shape(shoppers: list[list[Entry] | None]) -> None:
    block = _block(*shoppers)
    assert block.strengths(np.array([1.0, -1.0]), 5.0).shape == (len(shoppers), len(ITEMS))
    assert block.touched(0).nnz == 0


def test_a_catalogue_without_items_knows_nothing() -> None:
    block = _block([(_ago(1), "i0", "purchase", "o1")], items=[])
    assert block.unknown.tolist() == [1]
    assert block.strengths(np.array([1.0, -1.0]), None).shape == (1, 0)


def test_a_slice_of_a_column_reads_as_its_rows_alone() -> None:
    shoppers = [[(_ago(n + 1), f"i{n}", "purchase", "o1")] for n in range(4)]
    column = arrow_histories(*shoppers).slice(2, 2)
    block = read_block(column, items=pa.array(ITEMS), event_names=list(WEIGHTS), clock=CLOCK)
    assert block.item.tolist() == [2, 3]
    np.testing.assert_allclose(block.age_days, [3.0, 4.0])


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 2), (1, 4), (3, 9)])
def test_a_part_is_what_its_shoppers_alone_would_be_read_as(start: int, stop: int) -> None:
    shoppers = [
        [(_ago(1), "i0", "purchase", "o1"), (_ago(2), "gone", "purchase", "o2")],
        [],
        [(_ago(3), "i2", "purchase", "o3"), (_ago(4), "i1", "refund", "o4")],
        [(_ago(5), "gone", "purchase", "o5")],
    ]
    part, alone = _block(*shoppers).part(start, stop), _block(*shoppers[start:stop])
    assert (part.shoppers, part.items) == (alone.shoppers, alone.items)
    for name in ("row", "item", "event", "age_days", "unknown"):
        np.testing.assert_array_equal(getattr(part, name), getattr(alone, name))


def test_strengths_equal_those_of_the_table_interactions(spark: SparkSession) -> None:
    """Repeated lines of an order, refunds, equal times, a cap of newest events, several half-lives."""
    rng = np.random.default_rng(4)
    rows = []
    for n in range(240):
        at = CLOCK - days(int(rng.integers(1, 40)) / 2)  # half days: many events at the same moment
        name = ("purchase", "purchase", "purchase", "refund", "view_item")[rng.integers(0, 5)]
        order = None if name == "view_item" else f"o{rng.integers(0, 25)}"
        rows.append(event(name, f"u{rng.integers(0, 6)}", f"i{rng.integers(0, 6)}", at, order=order, event_id=f"e{n}"))
    params = InteractionParameters(WEIGHTS, half_life_days=9.0, max_events=30)
    events = events_frame(spark, rows)
    half_lives = [None, 2.0, 45.0]
    tables = [
        interactions(events, as_of=CLOCK, half_life_days=half_life, params=params).withColumn("half_life", F.lit(n))
        for n, half_life in enumerate(half_lives)
    ]
    sql = {
        (row["half_life"], row["user_id"], row["item_id"]): row["strength"]
        for row in tables[0].union(tables[1]).union(tables[2]).collect()
    }
    assert any(value == 0 for value in sql.values())
    table = histories(events, max_events=30, event_names=params.event_names).toArrow()
    block = read_block(
        table.column("history").combine_chunks(), items=pa.array(ITEMS), event_names=list(WEIGHTS), clock=CLOCK
    )
    users = table.column("user_id").to_pylist()
    for n, half_life in enumerate(half_lives):
        dense = block.strengths(np.array(list(WEIGHTS.values())), half_life).toarray()
        for row, user in enumerate(users):
            expected = [sql.get((n, user, item), 0.0) for item in ITEMS]
            np.testing.assert_allclose(dense[row], expected, atol=1e-12)
