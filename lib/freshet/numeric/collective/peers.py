"""A task's view of the others: who am I, how many are we, and what does this array add up to over all of us."""

import socket
import struct
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from freshet.numeric.collective.frames import ANSWER, HELLO, STACK, SUM, receive, send

Floats = NDArray[np.float64]

_LONGEST_WAIT_SECONDS = 3600.0
"""For the slowest task to read its rows; a task whose peers were lost without a sign must end at last."""

INTRODUCTION = struct.Struct("<32sII")
"""Token, number of the task, number of tasks."""


class Peers(Protocol):
    """The tasks of one stage, as each of them sees them. All must make the same calls in the same order."""

    @property
    def rank(self) -> int:
        """The number of this task, from 0."""

    @property
    def size(self) -> int:
        """The number of tasks."""

    def sum(self, values: Floats) -> Floats:
        """The elementwise sum over all tasks, of arrays of one shape; the same to the last bit in every task."""

    def stack(self, rows: Floats) -> Floats:
        """The rows (n x columns) of all tasks below one another, in the order of the tasks; n may differ, also be 0."""


class Alone:
    """The only task: every sum is its own."""

    rank, size = 0, 1

    def sum(self, values: Floats) -> Floats:
        """`values`."""
        return values

    def stack(self, rows: Floats) -> Floats:
        """`rows`."""
        return rows


@dataclass(frozen=True)
class Meeting:
    """Where the tasks find the hub, and the secret they show it."""

    host: str
    port: int
    token: bytes

    def joined(self, rank: int, size: int) -> "Connected":
        """The peers, once connected as task `rank` of `size`."""
        connection = socket.create_connection((self.host, self.port), timeout=_LONGEST_WAIT_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        send(connection, HELLO, INTRODUCTION.pack(self.token, rank, size))
        return Connected(connection, rank, size)


class Connected:
    """Peers that are reached through the hub. A lost peer ends every call with ConnectionError."""

    def __init__(self, connection: socket.socket, rank: int, size: int) -> None:
        self._connection, self.rank, self.size = connection, rank, size

    def sum(self, values: Floats) -> Floats:
        """See Peers."""
        return self._answer(SUM, values).reshape(values.shape)

    def stack(self, rows: Floats) -> Floats:
        """See Peers."""
        return self._answer(STACK, rows).reshape(-1, rows.shape[1])

    def close(self) -> None:
        """Leaves the others."""
        self._connection.close()

    def _answer(self, kind: bytes, values: Floats) -> Floats:
        send(self._connection, kind, np.ascontiguousarray(values, dtype=np.float64).tobytes())
        answered, payload = receive(self._connection)
        if answered != ANSWER:
            raise ConnectionError(f"the hub answered {answered!r}")
        return np.frombuffer(payload, dtype=np.float64)
