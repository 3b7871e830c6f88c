"""Merging packed histories: newest first, each key once, never more than there is room for."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.contracts.shoppers import HISTORY
from freshet.ranking.histories.history_block import packed_block, read_block
from freshet.ranking.histories.packed_histories import EMPTY, KEY, TIME, merged
from tests.artifacts import CLOCK, HISTORY_TYPE, histories, packed, random_history

Entry = tuple[int, int]
"""Time and key."""

entries = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12)), max_size=12)


def slow(old: list[Entry], new: list[Entry], most: int) -> list[Entry]:
    """One entry after the other, by the words of the rule."""
    result = list(old)
    for one in new:
        if all(key != one[1] for _, key in result):
            result = sorted([*result, one], reverse=True)[:most]
    return result


def rows(each: list[list[Entry]]) -> tuple[np.ndarray, np.ndarray]:
    flat = [(time, key, 7, 9) for history in each for time, key in history]
    return np.array([len(history) for history in each], np.int64), np.array(flat, np.int64).reshape(-1, 4)


@given(st.lists(st.tuples(entries, entries), max_size=4), st.integers(1, 6))
def test_merging_is_that_of_one_entry_after_the_other(each: list[tuple[list[Entry], list[Entry]]], most: int) -> None:
    old = [slow([], before, most) for before, _ in each]
    lengths, found = merged(*rows(old), *rows([after for _, after in each]), most)
    expected = [slow(before, after, most) for before, (_, after) in zip(old, each, strict=True)]
    assert lengths.tolist() == [len(history) for history in expected]
    assert [(time, key) for time, key, _, _ in found.tolist()] == [one for history in expected for one in history]


@given(st.lists(st.integers(0, 12), max_size=12), st.integers(1, 6))
def test_the_same_entries_twice_are_those_of_once(keys: list[int], most: int) -> None:
    new = [(key * 5 % 7, key) for key in keys]
    once = merged(*rows([[]]), *rows([new]), most)
    twice = merged(*once, *rows([new]), most)
    assert [part.tolist() for part in twice] == [part.tolist() for part in once]


def test_ties_are_ordered_by_signed_keys() -> None:
    _, found = merged(*rows([[]]), *rows([[(1, -5), (1, 2**62), (1, 3)]]), 2)
    assert found[:, KEY].tolist() == [2**62, 3]
    assert found[:, TIME].tolist() == [1, 1]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_packed_history_reads_like_one_of_texts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items, names = ["i1", "i2", "i3", "i4"], ["purchase", "refund"]
    pasts = [random_history(rng, [*items, "other"], int(rng.integers(0, 30))) for _ in range(6)]
    column = histories(*pasts)
    both = packed(column)
    known = pa.array(items)
    expected = read_block(column, items=known, event_names=names, clock=CLOCK)
    found = packed_block(both, items=known, event_names=names, clock=CLOCK)
    for name in ("row", "item", "event", "age_days", "unknown"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name
    part = found.part(2, 5)
    assert part.unknown.tolist() == expected.unknown[2:5].tolist()


def test_nobody_s_history_is_empty() -> None:
    block = packed_block(EMPTY, items=pa.array(["i1"]), event_names=["purchase"], clock=CLOCK)
    assert (block.shoppers, block.row.tolist()) == (1, [])


def test_the_history_type_of_these_tests_is_the_contract_s() -> None:
    assert [field.name for field in HISTORY_TYPE.value_type] == HISTORY.elementType.fieldNames()
