"""A real broker for tests, with its own folder and port, by the script that users start theirs with."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "kafka.sh"


def kafka(command: str, home: Path, port: int, seconds: int = 1800) -> str:
    """What scripts/kafka.sh says to a command for the broker of this home, which ends by itself after some time."""
    own = {"FRESHET_KAFKA_HOME": str(home), "FRESHET_KAFKA_PORT": str(port), "FRESHET_KAFKA_SECONDS": str(seconds)}
    done = subprocess.run(
        [str(SCRIPT), command], env={**os.environ, **own}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def running_broker(home: Path, seconds: int = 1800) -> Iterator[str]:
    """The address of a broker that runs until the block ends, or until so many seconds have passed."""
    port = free_ports()
    try:
        yield kafka("start", home, port, seconds)
    finally:
        kafka("stop", home, port)


def free_ports() -> int:
    """A port that is free, and so is the next one. Below those that the system itself gives to clients."""
    for port in range(20_000 + os.getpid() % 5_000 * 2, 32_000, 2):
        if all(_is_free(number) for number in (port, port + 1)):
            return port
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
