"""A task's view of the other tasks of its stage: its number, their count, and sums of arrays over all of them."""

import socket
import struct
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from freshet.numeric.collective.frames import ANSWER, HELLO, STACK, SUM, receive, send

Floats = NDArray[np.float64]

_LONGEST_WAIT_SECONDS = 3600.0
"""Seconds for the slowest task to read its rows. A task whose peers were lost silently must end at some point."""

INTRODUCTION = struct.Struct("<32sII")
"""Token, number of the task, number of tasks."""


class Peers(Protocol):
    """The tasks of one stage, as seen by one of them. All must make the same calls in the same order."""

    @property
    def rank(self) -> int:
        """The number of this task, from 0."""

    @property
    def size(self) -> int:
        """The number of tasks."""

    def sum(self, values: Floats) -> Floats:
        """The elementwise sum over all tasks, of arrays with the same shape; equal to the last bit in every task."""

    def stack(self, rows: Floats) -> Floats:
        """The rows (n x columns) of all tasks, stacked in the order of the tasks; n may differ, and may be 0."""


class Alone:
    """A single task: every sum is its own value."""

    rank, size = 0, 1

    def sum(self, values: Floats) -> Floats:
        """`values`."""
        return values

    def stack(self, rows: Floats) -> Floats:
        """`rows`."""
        return rows


@dataclass(frozen=True)
class Meeting:
    """The address of the hub, and the secret with which tasks connect."""

    host: str
    port: int
    token: bytes

    def joined(self, rank: int, size: int) -> "Connected":
        """Connects as task `rank` of `size` and returns the peers."""
        connection = socket.create_connection((self.host, self.port), timeout=_LONGEST_WAIT_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        send(connection, HELLO, INTRODUCTION.pack(self.token, rank, size))
        return Connected(connection, rank, size)


class Connected:
    """Peers that are connected through the hub. If a peer is lost, every call raises ConnectionError."""

    def __init__(self, connection: socket.socket, rank: int, size: int) -> None:
        self._connection, self.rank, self.size = connection, rank, size

    def sum(self, values: Floats) -> Floats:
        """See Peers."""
        return self._answer(SUM, values).reshape(values.shape)

    def stack(self, rows: Floats) -> Floats:
        """See Peers."""
        return self._answer(STACK, rows).reshape(-1, rows.shape[1])

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _answer(self, kind: bytes, values: Floats) -> Floats:
        send(self._connection, kind, np.ascontiguousarray(values, dtype=np.float64).tobytes())
        answered, payload = receive(self._connection)
        if answered != ANSWER:
            raise ConnectionError(f"the hub answered {answered!r}")
        return np.frombuffer(payload, dtype=np.float64)
