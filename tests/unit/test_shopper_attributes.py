"""What rules ask of shoppers: newest values of properties, and segments."""

from typing import Any

import pytest
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS
from freshet.pipeline.merchandising.shopper_attributes import asked_attributes, user_attributes
from tests.factories import frame, moment
from tests.rules_data import rules


def event(number: int, at: str, properties: dict[str, str] | None, **who: Any) -> dict[str, Any]:
    return {"event_id": f"e{number}", "event_time": moment(at), "properties": properties, **who}


EVENTS_OF = [
    event(1, "2026-01-01", {"Country": "DE", "Age": "17"}, user_id="a"),
    event(2, "2026-01-03", {"Country": "FR"}, user_id="a"),
    # Without a value it says nothing of the country.
    event(3, "2026-01-05", {"Age": "18"}, user_id="a"),
    event(4, "2026-01-02", {"Country": "US"}, user_id=None, anonymous_id="x"),
    event(5, "2026-01-02", None, user_id="silent"),
    event(6, "2026-01-02", {"Country": "IT"}, user_id=None, anonymous_id=None),
]
SEGMENTS = [("a", "loyal"), ("b", "new")]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Country"], {"a": {"Country": "FR"}, "anon:x": {"Country": "US"}}),
        (["Age", "Country", "segment"], {
            "a": {"Country": "FR", "Age": "18", "segment": "loyal"}, "anon:x": {"Country": "US"},
            "b": {"segment": "new"},
        }),
        (["segment"], {"a": {"segment": "loyal"}, "b": {"segment": "new"}}),
        (["Colour"], {}),
    ],
)  # fmt: skip
def test_the_newest_value_of_each_property_counts(
    spark: SparkSession, names: list[str], expected: dict[str, dict[str, str]]
) -> None:
    segments = spark.createDataFrame(SEGMENTS, "user_id string, segment_name string")
    found = user_attributes(frame(spark, EVENTS, EVENTS_OF), segments, names=names, as_of=moment("2026-02-01"))
    assert {row["user_id"]: row["attributes"] for row in found.collect()} == expected


def test_rules_ask_for_the_attributes_of_their_shoppers() -> None:
    band = {"action": "price_band", "low": 0.1, "high": 2.0}
    written = rules({**band, "shoppers": {"segment": "a", "Age": "18"}}, {**band, "shoppers": {"Age": "17"}}, band)
    assert asked_attributes(written) == ["Age", "segment"]
