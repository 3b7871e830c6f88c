"""JSON lines by both paths, ingested and streamed: the same verdict on each line, and no line without one."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from freshet.cleaning.source_columns import event_columns
from freshet.contracts import EVENTS, QUARANTINE, STREAM_METRICS
from freshet.contracts.inputs import MOST_RECORD_CHARACTERS
from freshet.pipeline.ingestion.ingest import ingest
from freshet.runs.home import Home
from freshet.runs.settings import conf_folder, load_settings
from freshet.service.intake.arrivals import arrivals
from freshet.service.lists.query import stream_session
from freshet.service.streams.records import file_records
from freshet.sources.mapping import read_mapping
from freshet.tables.warehouse import Warehouse
from tests.streaming.taken_in import lines, put, record, taken

pytestmark = pytest.mark.streaming

MAPPING = conf_folder().joinpath("sources/shop_events.toml")


def text(number: int, **changes: object) -> str:
    return json.dumps(record(number, **changes))


SHAPES: dict[str, tuple[bytes, str | None]] = {
    "a sound record": (text(1).encode(), None),
    "a repeated key": (text(2).replace("{", '{"user_id": "first", ', 1).encode(), None),
    "a name in two cases": (text(3).replace("{", '{"User_ID": "other", ', 1).encode(), None),
    "the name in another case only": (text(4).replace('"user_id"', '"USER_ID"').encode(), "missing_shopper"),
    "an empty list": (b"[]", "broken_record"),
    "a list of a record": (f"[{text(5)}]".encode(), "broken_record"),
    "a list of numbers": (b"[1, 2]", "broken_record"),
    "a number": (b"17", "broken_record"),
    "a text": (b'"hello"', "broken_record"),
    "null": (b"null", "broken_record"),
    "no JSON": (b"hello", "broken_record"),
    "an empty object": (b"{}", "missing_time"),
    "a record that ends early": (text(6).encode()[:-9], "broken_record"),
    "two records": (f"{text(7)}{text(8)}".encode(), None),
    "text behind the record": (text(9).encode() + b" end", None),
    "blanks around": (b"  " + text(10).encode() + b"  ", None),
    "a carriage return": (text(11).encode() + b"\r", None),
    "a tab": (b"\t", "broken_record"),
    "letters of all kinds": (text(13, item_id="I").replace('"I"', '"\u00e9\u4e2d\U0001f600"').encode(), None),
    "a list for an id": (text(14, item_id=[1, 2]).encode(), None),
    "an object for a time": (text(15, event_time={"a": 1}).encode(), "bad_time"),
    "a list for a number": (text(16, quantity=[1]).encode(), "bad_number"),
    "a text for properties": (text(17, properties="page 1").encode(), "broken_record"),
    "properties of all kinds": (text(18, properties={"a": 1, "b": [1], "c": None}).encode(), None),
    "numbers for ids": (text(19, user_id=7, item_id=7.0).encode(), None),
    "an exact number": (text(20).replace("{", '{"price": 1.10e1, ', 1).encode(), None),
    "single quotes": (text(21).replace('"', "'").encode(), None),
    "no number": (text(22).replace("{", '{"price": NaN, ', 1).encode(), "bad_number"),
    "a field of the future": (text(23, more={"deep": [{"a": 1}]}).encode(), None),
    "deep nesting": (text(24).encode()[:-1] + b', "deep": ' + b"[" * 3000 + b"]" * 3000 + b"}", "broken_record"),
    "a megabyte": (text(25, item_id="i" * MOST_RECORD_CHARACTERS).encode(), "too_large"),
    # Behind the first 64 kB, by which a file in another encoding is found out.
    "wrong bytes": (text(12).encode().replace(b"i12", b"i\xff\xfe"), "broken_record"),
    "an endless id": (text(26, item_id="i" * 1001).encode(), "too_large"),
    "an unknown event": (text(27, event_name="stare").encode(), "unknown_event"),
}


class Verdict(NamedTuple):
    """What came of a line: in events its shopper, item and price; in quarantine the reason, its words and the text."""

    accepted: tuple[str, str, float | None] | None
    refused: tuple[str, str, str] | None


def verdicts(tables: Warehouse) -> dict[int, Verdict]:
    found: dict[int, Verdict] = {}
    for row in tables.read(EVENTS).collect():
        assert row["source_offset"] not in found
        found[row["source_offset"]] = Verdict((row["user_id"], row["item_id"], row["price"]), None)
    for row in tables.read(QUARANTINE).collect():
        assert row["source_offset"] not in found
        found[row["source_offset"]] = Verdict(None, (row["reason_code"], row["message"], row["raw"]))
    return found


@pytest.fixture(scope="module")
def both(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[int, Verdict], ...]:
    """Of each line of SHAPES, with an empty line between any two, the verdict of the batch and that of the stream."""
    root = tmp_path_factory.mktemp("verdicts")
    content = [one for shape, _ in SHAPES.values() for one in (shape, b"")]
    put(root / "in", "a.json", content)
    by_batch = Home(root / "batch").prepare()
    now = datetime.now(UTC).replace(tzinfo=None)
    ingest(spark, by_batch, source=Path(str(MAPPING)), input_path=root / "in", params=load_settings().cleaning, now=now)
    tables = Warehouse(spark, Home(root / "stream").prepare().warehouse)
    for contract in (EVENTS, QUARANTINE, STREAM_METRICS):
        tables.create(contract)
    taken(spark, tables, read_mapping(MAPPING), root / "in", root / "checkpoint")
    return verdicts(Warehouse(spark, by_batch.warehouse)), verdicts(tables)


@pytest.mark.parametrize(("number", "shape"), [*enumerate(SHAPES)], ids=[*SHAPES])
def test_a_line_ends_as_the_same_by_both_paths(both: tuple[dict[int, Verdict], ...], number: int, shape: str) -> None:
    by_batch, by_stream = (found.get(2 * number) for found in both)
    assert by_batch is not None
    assert by_batch == by_stream
    reason = SHAPES[shape][1]
    assert (by_batch.refused and by_batch.refused[0]) == reason


def test_lists_are_made_from_the_lines_that_the_intake_accepts(
    spark: SparkSession, both: tuple[dict[int, Verdict], ...], tmp_path: Path
) -> None:
    """The query of the lists filters by is_sound alone and reads no messages."""
    put(tmp_path / "in", "a.json", [line for line, _ in SHAPES.values()])
    mapping, settings = read_mapping(MAPPING), load_settings()
    session = stream_session(spark, settings.stream)
    rows = file_records(session, event_columns(mapping), folder=tmp_path / "in", files_per_trigger=1)
    sound: list[int] = []

    def collect(batch: DataFrame, _: int) -> None:
        sound.extend(row["source_offset"] for row in batch.where("is_sound").select("source_offset").collect())

    writer = arrivals(rows, mapping, settings.cleaning).writeStream.foreachBatch(collect)
    writer.option("checkpointLocation", str(tmp_path / "checkpoint")).trigger(availableNow=True).start()\
        .awaitTermination()  # fmt: skip
    assert sorted(sound) == [n for n in range(len(SHAPES)) if both[1][2 * n].accepted]


def test_every_line_ends_once_and_what_is_kept_of_it_is_bounded(both: tuple[dict[int, Verdict], ...]) -> None:
    for found in both:
        assert sorted(found) == [2 * n for n in range(len(SHAPES))]
        raw_texts = [verdict.refused[2] for verdict in found.values() if verdict.refused]
        assert max(len(raw) for raw in raw_texts) == 10_000
        assert "[]" in raw_texts
    assert both[0][2].accepted == ("u2", "i2", None)
    assert both[0][4].accepted == ("u0", "i3", None)
    assert both[0][2 * list(SHAPES).index("an exact number")].accepted == ("u2", "i20", 11.0)


def test_thousands_of_distinct_keys_are_ingested(spark: SparkSession, home: Home, tmp_path: Path) -> None:
    """Three thousand keys in three thousand records, each with a key of its own within a struct of its own."""
    records: list[Any] = [record(n % 60, event_id=f"e{n}", **{f"key{n}": {f"inner{n}": [n]}}) for n in range(3_003)]
    put(tmp_path / "in", "a.json", lines(*records))
    report = ingest(
        spark, home, source=Path(str(MAPPING)), input_path=tmp_path / "in", params=load_settings().cleaning,
        now=datetime(2026, 6, 1),
    )  # fmt: skip
    assert (report.raw_rows, report.accepted, report.refused) == (3_003, 3_003, {})


def test_a_file_in_another_encoding_is_read(spark: SparkSession, home: Home, tmp_path: Path) -> None:
    source = tmp_path / "shop.toml"
    mapping_text = MAPPING.read_text(encoding="utf-8")
    source.write_text(
        mapping_text.replace("[columns]", '[options]\nencoding = "windows-1252"\n[columns]', 1), encoding="utf-8"
    )
    one = json.dumps(record(1, item_id="caf\u00e9 \u20ac"), ensure_ascii=False)
    put(tmp_path / "in", "a.json", [one.encode("windows-1252")])
    ingest(
        spark, home, source=source, input_path=tmp_path / "in", params=load_settings().cleaning,
        now=datetime(2026, 6, 1),
    )  # fmt: skip
    items = Warehouse(spark, home.warehouse).read(EVENTS).select(F.col("item_id")).collect()
    assert [row["item_id"] for row in items] == ["caf\u00e9 \u20ac"]
