"""Slices: which events a micro-batch sees, and in which order."""

from datetime import timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from freshet.core.errors import SettingsError
from freshet.runs.settings import load_settings
from freshet.service.lists.history_events import stream_events
from freshet.service.lists.slices import slice_length, write_slices
from tests.factories import event, events_frame, moment
from tests.stream_rows import HISTORY_EVENTS
from tests.streaming.scenario import AS_OF, CUT, parameters, shop_rows

pytestmark = pytest.mark.streaming

DAY = timedelta(days=1)


def written(spark: SparkSession, folder: Path, *, most_events: int = 1000) -> dict[str, list[str]]:
    """Files in the order in which the file source takes them, with the items of each."""
    events = stream_events(events_frame(spark, shop_rows()), HISTORY_EVENTS)
    write_slices(events, folder, start=CUT, end=AS_OF, length=DAY, most_events=most_events)
    files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
    return {path.name: [row.item_id for row in spark.read.parquet(str(path)).collect()] for path in files}


def test_slices_hold_the_events_of_the_window_by_arrival(spark: SparkSession, tmp_path: Path) -> None:
    found = written(spark, tmp_path / "input")
    assert [sorted(ids) for ids in found.values()] == [
        ["a3"],
        ["c2", "new1"],
        ["late"],
        ["c3"],
    ]
    assert [name[-14:-8] for name in found] == ["000000", "000001", "000002", "000003"]
    assert sorted(found) == list(found)


def test_slice_above_the_limit_becomes_several_files_in_order_of_arrival(spark: SparkSession, tmp_path: Path) -> None:
    found = written(spark, tmp_path / "input", most_events=1)
    assert list(found.values()) == [["a3"], ["new1"], ["c2"], ["late"], ["c3"]]


def test_slices_that_are_there_stay_and_leftovers_of_a_killed_writing_are_replaced(
    spark: SparkSession, tmp_path: Path
) -> None:
    leftover = tmp_path / "input.ready"
    leftover.mkdir()
    (leftover / "000000-slice-000000.parquet").write_bytes(b"half a file")
    first = written(spark, tmp_path / "input")
    later = stream_events(events_frame(spark, [event(event_id="other", at="2020-02-01")]), HISTORY_EVENTS)
    write_slices(later, tmp_path / "input", start=CUT, end=AS_OF, length=DAY, most_events=1000)
    assert written(spark, tmp_path / "input") == first
    assert [path.name for path in tmp_path.iterdir()] == ["input"]


def test_slice_is_a_day_or_a_share_of_a_short_window() -> None:
    params = parameters(slice_hours=24.0, fewest_slices=30)
    assert slice_length(moment("2020-01-01"), moment("2020-01-31"), params) == DAY
    assert slice_length(moment("2020-01-01"), moment("2020-03-01"), params) == DAY
    assert slice_length(moment("2020-01-01 10:00"), moment("2020-01-01 10:30"), params) == timedelta(minutes=1)


def test_parameters_name_every_impossible_value() -> None:
    with pytest.raises(ValueError, match=r"slice_hours must be above 0.*fewest_slices must be 1 or more, is 0"):
        parameters(fewest_slices=0, slice_hours=0.0)


def test_a_service_that_may_hold_no_record_in_memory_is_refused() -> None:
    with pytest.raises(SettingsError, match="most_collected_events must be 1 or more, is 0"):
        load_settings("test", ("service.most_collected_events=0",))
