"""A window of earlier events as files, which a stream reads in the order in which the events arrived."""

import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.runs.service_parameters import StreamParameters
from freshet.service.lists.history_events import STREAM_EVENT, arrival

_FIRST_FILE_TIME = 946_684_800
"""2000-01-01, seconds since 1970: any fixed moment will do."""


def slice_length(start: datetime, end: datetime, params: StreamParameters) -> timedelta:
    """The time a slice spans: `slice_hours`, shorter where the window would not give `fewest_slices`."""
    return min(timedelta(hours=params.slice_hours), (end - start) / params.fewest_slices)


def slice_number(moment: Column, start: datetime, length: timedelta) -> Column:
    """The slice of a moment from `start` on: 0, 1, 2 ... for each `length` of time."""
    since = F.unix_micros(moment) - F.unix_micros(F.lit(start))
    return F.floor(since / F.lit(length // timedelta(microseconds=1))).cast("int")


def write_slices(
    events: DataFrame, folder: Path, *, start: datetime, end: datetime, length: timedelta, most_events: int
) -> None:
    """Writes the STREAM_EVENT rows that arrived in [start, end) to `folder`, in files named by their slice.

    A slice without events has no file, one of more than `most_events` has several. `folder` is created
    completely or not at all; when it exists, nothing is done.
    """
    if folder.exists():
        return
    raw, ready = folder.with_name(f"{folder.name}.raw"), folder.with_name(f"{folder.name}.ready")
    for leftover in (raw, ready):
        shutil.rmtree(leftover, ignore_errors=True)
    (
        events.where((arrival() >= F.lit(start)) & (arrival() < F.lit(end)))
        .select(
            *STREAM_EVENT.fieldNames(),
            slice_number(arrival(), start, length).alias("slice"),
            arrival().alias("arrival"),
        )
        # A slice is one task, so that the sort puts its files in order of time.
        .repartition("slice")
        .sortWithinPartitions("slice", "arrival")
        .drop("arrival")
        .write.partitionBy("slice")
        .option("maxRecordsPerFile", most_events)
        .parquet(str(raw))
    )
    ready.mkdir(parents=True)
    parts = sorted(raw.glob("slice=*/*.parquet"), key=lambda path: (_slice_of(path), path.name))
    for number, part in enumerate(parts):
        target = ready / f"{number:06d}-slice-{_slice_of(part):06d}.parquet"
        part.rename(target)
        # The file source reads files in order of modification time, which files of one write may share.
        os.utime(target, (_FIRST_FILE_TIME + number, _FIRST_FILE_TIME + number))
    shutil.rmtree(raw)
    ready.rename(folder)


def _slice_of(part: Path) -> int:
    return int(part.parent.name.removeprefix("slice="))
