"""Messages between a task and the driver: a kind of one byte, a length, and numbers."""

import socket
import struct

HELLO, SUM, STACK, ANSWER = b"h", b"s", b"c", b"a"

_HEADER = struct.Struct("<cQ")


def send(connection: socket.socket, kind: bytes, payload: bytes) -> None:
    """Sends one message in one piece: sent as two, the second would wait for the acknowledgement of the first."""
    connection.sendall(_HEADER.pack(kind, len(payload)) + payload)


def receive(connection: socket.socket, *, most: int | None = None) -> tuple[bytes, bytes]:
    """Kind and payload of the next message.

    Raises ConnectionError when the other end has closed, or announces more than `most` bytes.
    """
    kind, length = _HEADER.unpack(_exactly(connection, _HEADER.size))
    if most is not None and length > most:
        raise ConnectionError(f"a message of {length} bytes where {most} at most are expected")
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        got = connection.recv_into(view)
        if not got:
            raise ConnectionError("the other end has closed the connection")
        view = view[got:]
    return bytes(data)
