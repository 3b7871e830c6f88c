"""Real processes on a real broker, killed at seeded moments: no event is lost, none doubled, no last list other."""

import pytest

from tests.benchmarks.kill import ALL_POINTS, kill
from tests.streaming.killed_service import POINTS

pytestmark = [pytest.mark.streaming, pytest.mark.cluster]

KILLS = 2 * len(ALL_POINTS)
"""Two at each point: each takes a quarter of a minute and more while other tests run. `scripts/bench.sh kill` kills as
often as asked, and later in each run."""


def test_a_service_that_is_killed_anywhere_ends_as_an_undisturbed_one() -> None:
    found = kill(quick=False, kills=KILLS, brokers=1, passages=2)
    assert (found["kills"] + found["ended_without_broker"], found["broker_kills_under_service"]) == (KILLS, 1)
    assert [found[f"kills_{point}"] for point in POINTS] == [2] * len(POINTS)
    assert (found["lost"], found["doubled"], found["strays"]) == (0, 0, 0)
    assert found["records"] > KILLS * 80
