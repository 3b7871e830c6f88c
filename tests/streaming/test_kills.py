"""Real processes on a real broker, killed at seeded moments: no event is lost, none doubled, no last list other."""

import pytest

from tests.benchmarks.kill import kill
from tests.streaming.killed_service import POINTS

pytestmark = [pytest.mark.streaming, pytest.mark.cluster]

KILLS = len(POINTS)
"""One at each named point, some 50 s each beside other tests: ten took more than nine minutes. `scripts/bench.sh kill`
kills as often as asked, and later in each run."""


def test_a_service_that_is_killed_anywhere_ends_as_an_undisturbed_one() -> None:
    found = kill(quick=False, kills=KILLS, passages=3, per_broker=KILLS)
    assert (found["kills"], found["broker_kills"]) == (KILLS, 1)
    assert [found[f"kills_{point}"] for point in POINTS] == [1] * KILLS
    assert (found["lost"], found["doubled"]) == (0, 0)
    assert found["records"] > KILLS * 80
