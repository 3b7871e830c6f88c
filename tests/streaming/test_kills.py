"""Real processes on a real broker, killed at seeded moments: no event is lost, none doubled, no last list other."""

import pytest

from tests.benchmarks.kill import kill
from tests.streaming.killed_service import POINTS

pytestmark = [pytest.mark.streaming, pytest.mark.cluster]

KILLS = 10


def test_a_service_and_its_broker_that_are_killed_anywhere_end_as_undisturbed_ones() -> None:
    found = kill(quick=False, kills=KILLS)
    assert (found["kills"], found["broker_kills"]) == (KILLS, 1)
    assert min(found[f"kills_{point}"] for point in POINTS) >= KILLS // len(POINTS)
    assert (found["lost"], found["doubled"]) == (0, 0)
    assert found["records"] > KILLS * 80
