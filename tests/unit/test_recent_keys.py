"""Event ids of a while, against plain sets."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.service.intake.recent_keys import Keys, RecentKeys, keys_of, repeats_within

pytestmark = pytest.mark.unit

START = datetime(2026, 2, 1)
PAIRS = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), max_size=12)


def keys(pairs: list[tuple[int, int]]) -> Keys:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


@given(st.lists(st.lists(st.integers(-40, 40), max_size=12), max_size=8), st.lists(st.integers(-40, 40), max_size=12))
def test_seen_is_what_was_added(batches: list[list[int]], asked: list[int]) -> None:
    recent, known = RecentKeys(), set[int]()
    for n, batch in enumerate(batches):
        fresh = sorted(set(batch) - known)
        recent.add(keys([(one, one * 7) for one in fresh]), START + timedelta(seconds=n))
        known |= set(batch)
    assert len(recent) == len(known)
    assert recent.seen(keys([(one, one * 7) for one in asked])).tolist() == [one in known for one in asked]


def test_keys_that_agree_in_one_half_are_different() -> None:
    recent = RecentKeys()
    recent.add(keys([(1, 1), (5, 2)]), START)
    assert recent.seen(keys([(1, 2), (2, 1), (5, 2)])).tolist() == [False, False, True]


def test_what_was_received_before_a_moment_is_forgotten_but_nothing_since() -> None:
    recent = RecentKeys()
    recent.add(keys([(n, n) for n in range(100)]), START)
    recent.add(keys([(200, 200)]), START + timedelta(hours=1))
    recent.forget(START + timedelta(minutes=30))
    assert recent.seen(keys([(7, 7), (200, 200)])).tolist() == [False, True]


@given(PAIRS, st.randoms(use_true_random=False))
def test_of_equal_keys_all_but_the_first_in_order_are_repeats(pairs, random) -> None:  # type: ignore[no-untyped-def]
    order = list(range(len(pairs)))
    random.shuffle(order)
    found = repeats_within(keys(pairs), np.array(order, dtype=np.int64))
    first = {pair: min(order[n] for n, other in enumerate(pairs) if other == pair) for pair in pairs}
    assert found.tolist() == [order[n] != first[pair] for n, pair in enumerate(pairs)]


IDS = st.one_of(st.none(), st.text(max_size=3))
POSITIONS = st.one_of(st.none(), st.integers(0, 3), st.integers(2**31 - 2, 2**31 - 1))


@given(st.lists(st.tuples(IDS, POSITIONS), max_size=12))
def test_events_have_one_key_exactly_when_id_and_position_are_equal(events) -> None:  # type: ignore[no-untyped-def]
    ids, positions = [one for one, _ in events], [place for _, place in events]
    made = keys_of(pa.table({"event_id": pa.array(ids, pa.string()), "item_position": pa.array(positions, pa.int32())}))
    assert made.shape == (len(events), 2)
    # Neither no id nor no position is anything that an event may have.
    plain = [(one or "", -1 if place is None else place) for one, place in events]
    for a, key in enumerate(made.tolist()):
        for b, other in enumerate(made.tolist()):
            assert (key == other) == (plain[a] == plain[b])
            assert (key[0] == other[0]) == (key[1] == other[1])
