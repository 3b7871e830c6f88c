"""A stream compiles no code for its plan: it interprets its expressions."""

import json
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from freshet.cleaning.source_columns import event_columns
from freshet.core.conf_files import conf_folder
from freshet.runs.settings import load_settings
from freshet.service.intake.arrivals import arrivals
from freshet.service.lists.handover import live_events
from freshet.service.lists.query import stream_session
from freshet.service.streams.records import file_records
from freshet.sources.mapping import read_mapping
from tests.stream_rows import HISTORY_EVENTS

pytestmark = pytest.mark.streaming


def compiled_classes(spark: SparkSession) -> int:
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    return int(jvm.org.apache.spark.metrics.source.CodegenMetrics.METRIC_COMPILATION_TIME().getCount())


def test_no_micro_batch_compiles_the_plan(spark: SparkSession, tmp_path: Path) -> None:
    mapping = read_mapping(conf_folder().joinpath("sources/shop_events.toml"))
    (tmp_path / "in").mkdir()
    for number in range(4):
        row = {"event_id": f"e{number}", "event_name": "view_item", "event_time": "2026-02-01T10:00:00Z",
               "user_id": "ann", "item_id": "i1"}  # fmt: skip
        (tmp_path / "in" / f"{number}.json").write_text(json.dumps(row), encoding="utf-8")
    session = stream_session(spark, load_settings().stream)
    rows = file_records(session, event_columns(mapping), folder=tmp_path / "in", files_per_trigger=1)
    before = compiled_classes(spark)
    found: list[tuple[int, int]] = []

    def count(batch: DataFrame, _: int) -> None:
        events = batch.toArrow().num_rows
        found.append((events, compiled_classes(spark)))

    stream = live_events(arrivals(rows, mapping, load_settings().cleaning), HISTORY_EVENTS).writeStream.foreachBatch(
        count
    )
    stream.option("checkpointLocation", str(tmp_path / "checkpoint")).trigger(availableNow=True).start()\
        .awaitTermination()  # fmt: skip
    assert [events for events, _ in found] == [1, 1, 1, 1]
    # One class is compiled once in an application, here or by an earlier stream; with compiled expressions it is 12.
    assert found[0][1] - before <= 1
    assert [compiled for _, compiled in found[1:]] == [found[0][1]] * 3
