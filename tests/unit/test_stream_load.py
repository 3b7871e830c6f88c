"""The stopwatch of the stream's benchmark: which list an event is answered by."""

import numpy as np
import pyarrow as pa
import pytest

from tests.benchmarks.stream_load import seconds_to_list


def _sent(*events: tuple[str, int]) -> pa.Table:
    return pa.table({"user_id": [user for user, _ in events], "received": [at for _, at in events]})


def _lists(*lists: tuple[str, int, int]) -> pa.Table:
    schema = pa.schema([("user_id", pa.string()), ("caused", pa.int64()), ("seen", pa.int64())])
    return pa.table([list(column) for column in zip(*lists, strict=True)] or [[], [], []], schema=schema)


def test_an_event_waits_for_the_first_list_of_its_shopper_that_it_or_a_newer_one_caused() -> None:
    sent = _sent(("ann", 1_000_000), ("bob", 1_500_000), ("ann", 2_000_000), ("cat", 2_000_000))
    lists = _lists(
        ("ann", 1_000_000, 1_700_000),  # answers ann's first event alone
        ("ann", 2_500_000, 3_100_000),  # of an event behind these: newer than both
        ("bob", 1_400_000, 1_600_000),  # older than bob's event
        ("bob", 1_500_000, 2_250_000),
        ("eve", 2_000_000, 2_100_000),  # sent by somebody else
    )
    np.testing.assert_allclose(seconds_to_list(sent, lists), [0.7, 0.75, 1.1, np.inf])


def test_without_lists_nobody_is_answered() -> None:
    assert np.isinf(seconds_to_list(_sent(("ann", 5)), _lists())).all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_equals_a_look_through_all_lists(seed: int) -> None:
    rng = np.random.default_rng(seed)
    events = [(f"u{rng.integers(5)}", int(at)) for at in np.sort(rng.integers(0, 10**7, 60))]
    batches = np.sort(rng.integers(0, 10**7, 25))
    lists = [(f"u{rng.integers(5)}", int(at), int(at) + 1000 * n) for n, at in enumerate(batches)]
    expected = [
        min([(seen - at) / 1e6 for user, caused, seen in lists if user == who and caused >= at], default=np.inf)
        for who, at in events
    ]
    np.testing.assert_allclose(seconds_to_list(_sent(*events), _lists(*lists)), expected)


def test_more_shoppers_than_twenty_bits_can_tell_apart_are_answered_each_by_their_own_list() -> None:
    count, day = 1_100_000, 86_400_000_000
    users = [f"u{n:07d}" for n in range(count)]
    received = np.linspace(0, day, count).astype(np.int64)
    sent = pa.table({"user_id": users, "received": received})
    lists = pa.table({"user_id": users[::-1], "caused": received[::-1], "seen": received[::-1] + 250_000})
    np.testing.assert_allclose(seconds_to_list(sent, lists), 0.25)
