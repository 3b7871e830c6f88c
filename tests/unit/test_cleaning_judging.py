"""Which records repeat an earlier one, against a plain loop, and what need not be kept of each."""

from datetime import datetime

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from freshet.cleaning.judging import accepted, judged, narrowed, repeated_records
from freshet.cleaning.parameters import CleaningParameters
from freshet.cleaning.parsing import parsed
from freshet.cleaning.problems import PROBLEM_TYPE, refused_as_too_large
from freshet.contracts import EVENTS
from freshet.runs.settings import load_settings
from freshet.sources.mapping import source_mapping
from freshet.sources.rules import SourceMapping
from tests.factories import local_frame

PARAMS: CleaningParameters = load_settings().cleaning
NOW = datetime(2026, 1, 1)
RAW = "source_partition string, source_offset bigint, id string, who string, sku string, at string"
AT = "2025-01-01T00:00:00Z"
RECORDS = [
    ("a", "u1", "x", "no time"),  # refused: it must not stand in the way of its corrected version
    ("a", "u1", "x", AT),
    ("a", "u1", "x", AT),
    ("a", "u1", "y", AT),
    ("b", "u1", "x", AT),
    ("b", "u2", "x", AT),
    ("c", "", "x", AT),  # refused, and no repeat: nobody
    ("c", "", "x", AT),
    ("d", "u3", "z", AT),
]


def mapping_of(*, own_ids: bool, repeats: str = "duplicates") -> SourceMapping:
    columns = {"user_id": "who", "session_id": "sku", "item_id": "sku", "currency": {"constant": "eur"}}
    problems: list[str] = []
    mapping = source_mapping(
        {
            "name": "shop", "format": "csv", "repeats": repeats, "event_name": "purchase", "time": {"column": "at"},
            "columns": {**columns, "event_id": "id"} if own_ids else columns,
        },
        problems,
    )  # fmt: skip
    assert not problems
    return mapping


def verdicts(spark: SparkSession, mapping: SourceMapping) -> list[str | None]:
    """The reason of each of RECORDS, None for accepted ones."""
    rows = [
        {"source_partition": "f", "source_offset": n, "id": one[0], "who": one[1], "sku": one[2], "at": one[3]}
        for n, one in enumerate(RECORDS)
    ]
    read = narrowed(parsed(local_frame(spark, RAW, rows), mapping, now=NOW, params=PARAMS), mapping)
    records = judged(read, mapping, repeats=repeated_records(read, mapping), stored=None)
    found = {row["source_offset"]: row["reason_code"] for row in records.collect()}
    return [found[n] for n in range(len(RECORDS))]


def told_by_loop(*, own_ids: bool) -> list[str | None]:
    first: dict[object, tuple[str, ...]] = {}
    reasons: list[str | None] = []
    for record in RECORDS:
        key = record[0] if own_ids else record
        if not record[1] or record[3] != AT:
            reasons.append("missing_shopper" if not record[1] else "bad_time")
        elif key in first:
            reasons.append("duplicate" if first[key] == record else "resent")
        else:
            first[key] = record
            reasons.append(None)
    return reasons


@pytest.mark.parametrize("own_ids", [True, False])
def test_of_sound_records_with_one_key_the_first_is_accepted(spark: SparkSession, own_ids: bool) -> None:
    assert verdicts(spark, mapping_of(own_ids=own_ids)) == told_by_loop(own_ids=own_ids)


def test_equal_records_may_be_events_of_their_own(spark: SparkSession) -> None:
    refused = [reason for reason in verdicts(spark, mapping_of(own_ids=False, repeats="events")) if reason]
    assert refused == ["bad_time", "missing_shopper", "missing_shopper"]


def test_what_is_not_kept_of_each_record_is_there_again_in_the_accepted(spark: SparkSession) -> None:
    mapping = mapping_of(own_ids=True)
    row = {"source_partition": "f", "source_offset": 0, "id": "a", "who": "u1", "sku": "x", "at": AT}
    whole = parsed(local_frame(spark, RAW, [row]), mapping, now=NOW, params=PARAMS)
    narrow = narrowed(whole, mapping)
    left_out = {"session_id", "item_id"} - set(narrow.columns)
    assert len(left_out) == 1  # they have one rule
    assert not {"received_time", "currency", "event_name", "source", "brand"} & set(narrow.columns)
    again = accepted(judged(narrow, mapping, repeats=None, stored=None), mapping).select(*EVENTS.column_names)
    assert again.collect() == whole.select(*EVENTS.column_names).collect()
    assert again.collect()[0]["currency"] == "EUR"


def test_what_arrives_later_than_the_limit_is_kept_and_flagged(spark: SparkSession) -> None:
    """24 hours are `late_after_hours`; an arrival before the event is a clock set wrong, not a late event."""
    problems: list[str] = []
    mapping = source_mapping(
        {
            "name": "shop", "format": "csv", "event_name": "purchase", "time": {"column": "at"},
            "received_time": {"column": "sku"}, "columns": {"event_id": "id", "user_id": "who"},
        },
        problems,
    )  # fmt: skip
    assert not problems
    arrivals = ["2025-01-02T00:00:00Z", "2025-01-02T00:00:01Z", "2024-12-31T00:00:00Z", ""]
    rows = [
        {"source_partition": "f", "source_offset": n, "id": f"e{n}", "who": "u", "sku": arrival, "at": AT}
        for n, arrival in enumerate(arrivals)
    ]
    read = parsed(local_frame(spark, RAW, rows), mapping, now=NOW, params=PARAMS).orderBy("event_id").collect()
    assert [row["problems"] for row in read] == [[]] * 4
    assert [row["flags"] for row in read] == [[], ["late"], [], []]
    assert [row["received_time"] >= row["event_time"] for row in read] == [True] * 4


def test_a_record_that_is_too_large_has_this_problem_alone(spark: SparkSession) -> None:
    schema = f"name string, is_large boolean, is_sound boolean, problems array<{PROBLEM_TYPE}>"
    other = [{"reason_code": "missing_time", "field": "event_time", "message": "there is no time"}]
    rows = [
        {"name": f"{is_large} {is_sound}", "is_large": is_large, "is_sound": is_sound,
         "problems": [] if is_sound else other}
        for is_large in (True, False) for is_sound in (True, False)
    ]  # fmt: skip
    read = refused_as_too_large(local_frame(spark, schema, rows), F.col("is_large")).collect()
    found = {row["name"]: (row["is_sound"], [one["reason_code"] for one in row["problems"]]) for row in read}
    assert found == {
        "True True": (False, ["too_large"]), "True False": (False, ["too_large"]),
        "False True": (True, []), "False False": (False, ["missing_time"]),
    }  # fmt: skip
