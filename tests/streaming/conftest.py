"""Fixtures of the stream's tests: one broker for all of them."""

from collections.abc import Iterator

import pytest

from tests.streaming.broker import running_broker


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap server of a real broker; tests take topics of their own."""
    with running_broker(tmp_path_factory.mktemp("kafka")) as address:
        yield address
