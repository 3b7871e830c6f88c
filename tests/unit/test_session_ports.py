"""The ports of a session answer nobody who does not know its secret."""

import os
import socket
import struct

import pytest
from pyspark.sql import SparkSession

from freshet.core import session

pytestmark = pytest.mark.unit

RPC_REQUEST, RPC_RESPONSE, RPC_FAILURE = 3, 4, 5
"""Types of messages in Spark's network protocol, which stand behind the eight bytes of the length."""


def text(value: str) -> bytes:
    return struct.pack(">I", len(value)) + value.encode()


def answer(port: int, body: bytes) -> tuple[int, bytes]:
    """The type and content of the message by which a port answers a request."""
    request = struct.pack(">BQI", RPC_REQUEST, 1, len(body)) + body
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(struct.pack(">Q", len(request) + 8) + request)
        with connection.makefile("rb") as stream:
            (length,) = struct.unpack(">Q", stream.read(8))
            found = stream.read(length - 8)
    return found[0], found[1:]


def test_a_client_without_the_secret_is_refused(spark: SparkSession) -> None:
    context = spark._jsc.sc()
    blocks = context.env().blockManager().blockManagerId().port()
    driver = int(spark.sparkContext.getConf().get("spark.driver.port") or 0)
    # OpenBlocks of no block: a block manager that trusts everybody answers it with the number of a stream.
    opened = bytes([0]) + text(context.applicationId()) + text("driver") + struct.pack(">I", 0)
    for port in (blocks, driver):
        kind, content = answer(port, opened)
        assert kind == RPC_FAILURE
        assert b"Expected SaslMessage" in content


def test_what_is_sent_is_encrypted(spark: SparkSession) -> None:
    assert spark.sparkContext.getConf().get("spark.network.crypto.enabled") == "true"


def test_files_of_spark_get_the_rights_that_the_process_gives(spark: SparkSession) -> None:
    before = os.umask(0o027)
    try:
        assert session.umask() == "027"
    finally:
        assert os.umask(before) == 0o027
    assert spark._jsc.hadoopConfiguration().get("fs.permissions.umask-mode") == session.umask()
