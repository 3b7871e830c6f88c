"""Tasks of a stage as threads of one process, with the real hub between them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from freshet.numeric.collective import Alone, Peers
from freshet.numeric.collective.hub import Hub

Part = TypeVar("Part")
Made = TypeVar("Made")


def in_tasks(work: Callable[[Part, Peers], Made], parts: Sequence[Part]) -> list[Made]:
    """What `work` makes of each part, all at the same time."""
    if len(parts) == 1:
        return [work(parts[0], Alone())]
    with Hub(bind="127.0.0.1", advertise="127.0.0.1") as hub, ThreadPoolExecutor(len(parts)) as pool:

        def task(rank: int) -> Made:
            peers = hub.meeting.joined(rank, len(parts))
            try:
                return work(parts[rank], peers)
            finally:
                peers.close()

        return list(pool.map(task, range(len(parts))))
