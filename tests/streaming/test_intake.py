"""The intake of a stream: each record once in events or quarantine, whatever is repeated, killed or lost."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS, QUARANTINE, STREAM_METRICS
from freshet.contracts.inputs import MOST_RECORD_CHARACTERS
from freshet.core.conf_files import conf_folder
from freshet.sources.mapping import read_mapping
from freshet.sources.rules import SourceMapping
from freshet.tables.warehouse import Warehouse
from tests.factories import moment
from tests.streaming.taken_in import events_of, lines, put, record, refused_of, taken

pytestmark = pytest.mark.streaming


class StopError(Exception):
    """A kill at a chosen moment."""


@pytest.fixture(scope="module")
def mapping() -> SourceMapping:
    return read_mapping(conf_folder().joinpath("sources/shop_events.toml"))


@pytest.fixture
def tables(warehouse: Warehouse) -> Warehouse:
    for contract in (EVENTS, QUARANTINE, STREAM_METRICS):
        warehouse.create(contract)
    return warehouse


BAD: dict[str, tuple[bytes, str]] = {
    "truncated JSON": (b'{"event_id": "x", "event_na', "broken_record"),
    "no JSON": (b"hello", "broken_record"),
    "a JSON list": (b'[{"event_id": "x"}]', "broken_record"),
    "a number": (b"17", "broken_record"),
    "invalid UTF-8": (b'{"event_id": "\xff\xfe", "event_name": "view_item"}', "broken_record"),
    "deep nesting": (b'{"event_id": ' + b"[" * 3000 + b"]" * 3000 + b"}", "broken_record"),
    "a megabyte field": (json.dumps(record(1, item_id="i" * MOST_RECORD_CHARACTERS)).encode(), "too_large"),
    "an endless id": (json.dumps(record(1, item_id="i" * 1001)).encode(), "too_large"),
    "a wrong type of time": (json.dumps(record(2, event_time={"a": 1})).encode(), "bad_time"),
    "a wrong type of number": (json.dumps(record(3, quantity="many")).encode(), "bad_number"),
    "a clock years ahead": (json.dumps(record(4, event_time="2035-01-01T00:00:00Z")).encode(), "future_time"),
    "a clock decades behind": (json.dumps(record(5, event_time="1931-01-01T00:00:00Z")).encode(), "implausible_time"),
    "a receipt years ahead": (json.dumps(record(9, received_time="2999-01-01T00:00:00Z")).encode(), "future_time"),
    "an unknown event": (json.dumps(record(6, event_name="stare")).encode(), "unknown_event"),
    "nobody": (json.dumps(record(7, user_id=None)).encode(), "missing_shopper"),
    "no time": (json.dumps(record(8, event_time=None)).encode(), "missing_time"),
    "nothing": (b"{}", "missing_time"),
}


def test_bad_records_end_in_quarantine_and_the_stream_goes_on(
    spark: SparkSession, tables: Warehouse, mapping: SourceMapping, tmp_path: Path
) -> None:
    good = lines(record(40), record(41, schema="of the future", more={"deep": [1]}))
    put(tmp_path / "in", "a.json", [*(content for content, _ in BAD.values()), *good])
    taken(spark, tables, mapping, tmp_path / "in", tmp_path / "checkpoint")
    assert refused_of(tables) == [("a.json", n, reason) for n, (_, reason) in enumerate(BAD.values())]
    assert events_of(tables) == [("e40", "a.json", len(BAD)), ("e41", "a.json", len(BAD) + 1)]
    raw = {row["source_offset"]: row["raw"] for row in tables.read(QUARANTINE).collect()}
    assert raw[0] == BAD["truncated JSON"][0].decode()
    assert max(len(text) for text in raw.values()) <= 10_000
    figures = tables.read(STREAM_METRICS).collect()[0]
    assert (figures["input"], figures["accepted"]) == (len(BAD) + 2, 2)
    assert figures["quarantined"] == dict(Counter(reason for _, reason in BAD.values()))


def test_an_event_carries_its_values_and_properties(
    spark: SparkSession, tables: Warehouse, mapping: SourceMapping, tmp_path: Path
) -> None:
    put(tmp_path / "in", "a.json", lines(record(4, quantity=2, price="3.5", received_time="2026-02-01T10:04:02Z")))
    taken(spark, tables, mapping, tmp_path / "in", tmp_path / "checkpoint")
    row = tables.read(EVENTS).first()
    assert row is not None
    assert (row["user_id"], row["item_id"], row["quantity"], row["price"]) == ("u1", "i4", 2.0, 3.5)
    assert (row["event_time"], row["received_time"]) == (moment("2026-02-01 10:04"), moment("2026-02-01 10:04:02"))
    assert row["properties"] == {"page": "4"}


@pytest.mark.parametrize("most_collected", [1, 1000], ids=["in pieces", "at once"])
def test_an_event_sent_again_is_refused_within_and_between_micro_batches_and_after_a_start(
    spark: SparkSession, tables: Warehouse, mapping: SourceMapping, tmp_path: Path, most_collected: int
) -> None:
    folder, checkpoint = tmp_path / "in", tmp_path / "checkpoint"
    put(folder, "a.json", lines(record(1), record(2), record(1)))
    put(folder, "b.json", lines(record(2), record(3, event_time="no time"), record(3)))
    taken(spark, tables, mapping, folder, checkpoint, most_collected=most_collected)
    put(folder, "c.json", lines(record(3), record(4)))
    taken(spark, tables, mapping, folder, checkpoint, most_collected=most_collected)
    assert events_of(tables) == [("e1", "a.json", 0), ("e2", "a.json", 1), ("e3", "b.json", 2), ("e4", "c.json", 1)]
    assert refused_of(tables) == [
        ("a.json", 2, "resent"), ("b.json", 0, "resent"), ("b.json", 1, "bad_time"), ("c.json", 0, "resent"),
    ]  # fmt: skip


@pytest.mark.parametrize("files", [1, 3])
def test_a_lost_checkpoint_neither_loses_nor_doubles(
    spark: SparkSession, tables: Warehouse, mapping: SourceMapping, tmp_path: Path, files: int
) -> None:
    folder, checkpoint = tmp_path / "in", tmp_path / "checkpoint"
    put(folder, "a.json", lines(record(1), record(2), record(1), b"bad"))
    put(folder, "b.json", lines(record(2), record(3)))
    taken(spark, tables, mapping, folder, checkpoint)
    stood = events_of(tables), refused_of(tables)
    shutil.rmtree(checkpoint)
    taken(spark, tables, mapping, folder, checkpoint, files=files)
    assert (events_of(tables), refused_of(tables)) == stood
    put(folder, "c.json", lines(record(3), record(5)))
    taken(spark, tables, mapping, folder, checkpoint)
    assert [row[0] for row in events_of(tables)] == ["e1", "e2", "e3", "e5"]
    assert refused_of(tables)[-1] == ("c.json", 0, "resent")


@pytest.mark.parametrize("when", ["before anything", "after quarantine", "after events", "after figures"])
def test_a_kill_in_a_micro_batch_is_mended_by_the_next_start(
    spark: SparkSession, tables: Warehouse, mapping: SourceMapping, tmp_path: Path, when: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import freshet.service.intake.event_intake as module

    folder, checkpoint = tmp_path / "in", tmp_path / "checkpoint"
    put(folder, "a.json", lines(record(1), b"bad", record(2), record(1)))
    calls = {"before anything": 0, "after quarantine": 1, "after events": 2, "after figures": 3}[when]
    with monkeypatch.context() as patched:
        done = 0

        def counted(write):  # type: ignore[no-untyped-def]
            def call(*args: object) -> object:
                nonlocal done
                if done == calls:
                    raise StopError
                done += 1
                return write(*args)

            return call

        patched.setattr(module, "append_arrow", counted(module.append_arrow))
        patched.setattr(module, "append_row", counted(module.append_row))
        if when == "after figures":
            patched.setattr(module.EventIntake, "_keep_figures", _then_stop(module.EventIntake._keep_figures))
        with pytest.raises(StopError):
            taken(spark, tables, mapping, folder, checkpoint)
    taken(spark, tables, mapping, folder, checkpoint)
    assert [row[0] for row in events_of(tables)] == ["e1", "e2"]
    assert refused_of(tables) == [("a.json", 1, "broken_record"), ("a.json", 3, "resent")]
    figures = tables.read(STREAM_METRICS).collect()
    assert [(row["batch_id"], row["input"], row["accepted"]) for row in figures] == [(0, 4, 2)]
    assert figures[0]["quarantined"] == {"broken_record": 1, "resent": 1}


def _then_stop(write):  # type: ignore[no-untyped-def]
    def call(*args: object) -> None:
        write(*args)
        raise StopError

    return call
