"""What shoppers are grouped by: activity, tenure and properties of events."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS, USER_SEGMENTS
from freshet.pipeline.item_audits import item_groups
from freshet.pipeline.shopper_audits import groups_of_cases, segment_groups, shopper_facts, shopper_groups
from freshet.rules.compiled import CATALOGUE
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.settings import load_settings
from freshet.tables.warehouse import Warehouse
from tests.factories import frame, moment

pytestmark = pytest.mark.unit

PARAMS = replace(load_settings().audits, attributes=("Country",), item_attributes=(), groups=2, most_values=1)
CASES = "user_id string, history array<struct<event_name: string, item_id: string, event_time: timestamp>>"


def test_shoppers_are_grouped_by_what_was_known_before_the_clock(spark: SparkSession) -> None:
    bought, seen = ("purchase", "i", moment("2026-01-21")), ("view_item", "i", moment("2026-01-11"))
    cases = spark.createDataFrame([("a", [bought, bought, seen]), ("b", [seen]), ("c", [])], CASES)
    of_a = {"event_id": "e1", "event_time": moment("2026-01-21"), "user_id": "a", "properties": {"Country": "DE"}}
    facts = shopper_facts(
        cases, frame(spark, EVENTS, [of_a]), target="purchase", clock=moment("2026-01-31"), attributes=["Country"]
    ).orderBy("user_id")
    assert [tuple(row) for row in facts.collect()] == [
        ("a", 2.0, 20.0, ["DE"]), ("b", 0.0, 20.0, [None]), ("c", 0.0, None, [None]),
    ]  # fmt: skip


def test_every_shopper_is_in_one_group_of_each_audit() -> None:
    facts = pa.table(
        {
            "user_id": ["a", "b", "c", "d"],
            "activity": [0.0, 1.0, 2.0, 9.0],
            "tenure": [None, 5.0, 5.0, 5.0],
            "values": [["DE"], ["DE"], ["FR"], [None]],
        }
    )
    groups: dict[str, list[str]] = {}
    for row in shopper_groups(facts, PARAMS).to_pylist():
        groups.setdefault(row["audit"], []).append(row["group"])
    assert groups == {
        "activity": ["0 to 1", "0 to 1", "2 to 9", "2 to 9"],
        "tenure": ["unknown", "5", "5", "5"],
        "Country": ["DE", "DE", "others", "unknown"],
    }
    assert shopper_groups(facts.slice(0, 0), PARAMS).num_rows == 0


def segment(user: str, name: str, day: str) -> dict[str, Any]:
    return {"as_of": moment(day), "user_id": user, "segment_name": name}


SEGMENTS = [
    segment("a", "new", "2026-01-01"), segment("b", "new", "2026-01-01"),
    segment("a", "loyal", "2026-01-31"), segment("b", "lost", "2026-01-31"), segment("z", "lost", "2026-01-31"),
    segment("a", "lapsing", "2026-02-01"), segment("c", "loyal", "2026-02-01"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("clock", "known"),
    [
        ("2026-01-31", {"a": "loyal", "b": "lost"}),
        ("2026-01-30 23:59:59", {"a": "new", "b": "new"}),
        ("2026-02-05", {"a": "lapsing", "c": "loyal"}),
        ("2025-12-31", {}),
    ],
)
def test_segments_are_those_that_were_known_at_the_clock(
    spark: SparkSession, clock: str, known: dict[str, str]
) -> None:
    cases = spark.createDataFrame([("a", []), ("b", []), ("c", [])], CASES)
    found = segment_groups(cases, frame(spark, USER_SEGMENTS, SEGMENTS), clock=moment(clock)).to_pylist()
    assert {row["user_id"]: row["group"] for row in found} == known
    assert {row["audit"] for row in found} <= {"segment"}
    assert len(found) == len(known)


def test_without_segments_the_audit_stays_out_with_its_reason(
    spark: SparkSession, home: Home, warehouse: Warehouse
) -> None:
    cases, events = spark.createDataFrame([("a", []), ("c", [])], CASES), frame(spark, EVENTS, [])

    def audits(clock: str, *overrides: str) -> tuple[list[str], dict[str, str]]:
        job = Job(spark, home, load_settings("test", overrides))
        found = groups_of_cases(job, cases, events, target="purchase", clock=moment(clock))
        return sorted(set(found.table.column("audit").to_pylist())), found.left_out

    own = ["activity", "tenure"]
    assert audits("2026-01-31") == (own, {"segment": "there are no segments yet"})
    warehouse.replace(frame(spark, USER_SEGMENTS, SEGMENTS), USER_SEGMENTS)
    reason = "no judged shopper has a segment from 2025-12-31 00:00 or before"
    assert audits("2025-12-31") == (own, {"segment": reason})
    assert audits("2026-01-31") == (["activity", "segment", "tenure"], {})
    # A property of that name is what the settings ask for.
    assert audits("2025-12-31", 'audits.attributes=["segment"]') == (["activity", "segment", "tenure"], {})


@pytest.mark.parametrize("names", [["activity"], ["tenure"], ["a", "a"], [" "]])
def test_attributes_have_names_of_their_own(names: list[str]) -> None:
    with pytest.raises(ValueError, match="different names"):
        replace(PARAMS, attributes=tuple(names))


def test_items_are_grouped_by_popularity_and_by_the_named_attributes() -> None:
    taken = pa.table({"item_id": ["a", "b", "c", "d"], "shoppers": [1.0, 2.0, 5.0, 9.0]})
    nothing = dict.fromkeys(CATALOGUE.names)
    states = pa.Table.from_pylist(
        [
            {**nothing, "item_id": "a", "category_path": "home > lamps", "attributes": {"seller": "x"}},
            {**nothing, "item_id": "b", "category_path": "home", "attributes": {"size": "9"}},
            {**nothing, "item_id": "e", "category_path": None},
        ],
        schema=CATALOGUE,
    )
    params = replace(PARAMS, item_attributes=("category", "brand", "seller"))
    found = {audit: dict(zip(*(table.column(n).to_pylist() for n in ("item_id", "group")), strict=True))
             for audit, table in item_groups(taken, states, params).items()}  # fmt: skip
    assert found == {
        "item_popularity": {"a": "1 to 2", "b": "1 to 2", "c": "5 to 9", "d": "5 to 9"},
        "category": {"a": "home", "b": "home", "e": "unknown"},
        "seller": {"a": "x", "b": "unknown", "e": "unknown"},
    }
    assert list(item_groups(taken.slice(0, 0), states.slice(0, 0), params)) == ["item_popularity"]
