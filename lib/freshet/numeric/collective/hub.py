"""The driver's end: waits for the tasks of a stage and answers each of their rounds with the sum or the stack."""

import hmac
import secrets
import socket
import threading
from contextlib import suppress
from types import TracebackType

import numpy as np

from freshet.numeric.collective.frames import ANSWER, HELLO, STACK, SUM, receive, send
from freshet.numeric.collective.peers import INTRODUCTION, Meeting

_LOOK_SECONDS = 0.2
"""Seconds between checks for a closed hub while it waits for tasks."""

_HELLO_SECONDS = 10.0
"""Seconds for a connection to introduce itself: a silent foreign connection must not keep tasks out."""


class Hub:
    """Listens on the driver while one stage runs; use `with Hub(...) as hub` and pass `hub.meeting` to the tasks.

    A group is served as soon as all its tasks are connected. When one of them is lost, the connections of the others
    are closed, so that the whole stage fails and Spark can retry it; its tasks are then a new group.
    """

    def __init__(self, *, bind: str, advertise: str) -> None:
        """Listens on address `bind`; the tasks connect to `advertise`. Raises OSError when it cannot listen."""
        self._server = socket.create_server((bind, 0))
        self._server.settimeout(_LOOK_SECONDS)
        self.meeting = Meeting(advertise, self._server.getsockname()[1], secrets.token_bytes(32))
        self._closed = threading.Event()
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, name="freshet-hub", daemon=True)

    def __enter__(self) -> "Hub":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        # A connection wakes the thread, which then sees that the hub is closed.
        with suppress(OSError):
            socket.create_connection(self._server.getsockname()[:2], timeout=_LOOK_SECONDS).close()
        self._thread.join()
        self._server.close()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        waiting: dict[int, socket.socket] = {}
        while not self._closed.is_set():
            try:
                connection, _ = self._server.accept()
            except TimeoutError:
                continue
            introduced = self._introduction(connection)
            if introduced is None:
                connection.close()
                continue
            rank, size = introduced
            self._open.append(connection)
            if rank in waiting:
                # The task was retried before all tasks were connected.
                waiting[rank].close()
            waiting[rank] = connection
            if len(waiting) == size:
                group = [waiting[rank] for rank in sorted(waiting)]
                threading.Thread(target=_serve, args=(group,), name="freshet-hub-group", daemon=True).start()
                waiting = {}

    def _introduction(self, connection: socket.socket) -> tuple[int, int] | None:
        """Number of the task and number of tasks; None for a foreign connection."""
        connection.settimeout(_HELLO_SECONDS)
        try:
            kind, payload = receive(connection, most=INTRODUCTION.size)
        except OSError:
            return None
        if kind != HELLO or len(payload) != INTRODUCTION.size:
            return None
        token, rank, size = INTRODUCTION.unpack(payload)
        if not hmac.compare_digest(token, self.meeting.token):
            return None
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return rank, size


def _serve(group: list[socket.socket]) -> None:
    """Answers rounds until the tasks leave; in the order of tasks, so that sums are equal to the last bit."""
    try:
        while True:
            messages = [receive(connection) for connection in group]
            kinds = {kind for kind, _ in messages}
            payloads = [payload for _, payload in messages]
            if kinds == {SUM}:
                total = np.sum([np.frombuffer(payload) for payload in payloads], axis=0)
                answer = total.tobytes()
            elif kinds == {STACK}:
                answer = b"".join(payloads)
            else:
                raise ConnectionError("the tasks do not agree on what to exchange")
            for connection in group:
                send(connection, ANSWER, answer)
    except (OSError, ValueError):
        # A task has left, at the end of its work or because it was lost. Tasks that still wait must be notified.
        for connection in group:
            connection.close()
