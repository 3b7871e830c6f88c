"""Lists of popular items: by window, category and attribute of shoppers, and what is trending."""

import math
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from freshet.contracts import ITEM_FEATURES
from freshet.ranking.popular_items import attribute_scopes, popular_by_attribute, popular_items
from tests.factories import frame, local_frame

pytestmark = pytest.mark.unit

AS_OF = datetime(2025, 3, 1)


def listed(rows: Any, window: str, kind: str = "all") -> dict[str, list[tuple[str, float]]]:
    found: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["position"]):
        if (row["window"], row["scope_kind"]) == (window, kind):
            found[row["scope"]].append((row["item_id"], round(row["score"], 6)))
    return dict(found)


def test_items_rise_by_what_is_more_than_their_pace(spark: SparkSession) -> None:
    counts = {
        "steady": (7, 30),
        "rising": (12, 20),
        "sudden": (9, 9),
        "falling": (1, 40),
        "rare": (1, 1),
        "gone": (0, 0),
    }
    features = frame(
        spark, ITEM_FEATURES,
        [{"item_id": name, "as_of": AS_OF, "shoppers_7d": new, "shoppers_30d": month, "shoppers": 50}
         for name, (new, month) in counts.items()],
    )  # fmt: skip
    categories = local_frame(
        spark,
        "item_id string, category_path string",
        [{"item_id": name, "category_path": "a > b" if name < "r" else None} for name in counts],
    )
    rows = popular_items(features, categories, length=3).collect()
    # sudden: 9 above a pace of nothing; rising: 12 where 8 * 7 / 23 = 2.43 were expected; rare: 1 above nothing.
    pace = 8 * 7 / 23
    assert listed(rows, "trending") == {
        "all": [("sudden", 9.0), ("rising", round((12 - pace) / math.sqrt(pace + 1), 6)), ("rare", 1.0)]
    }
    assert listed(rows, "7d") == {"all": [("rising", 12.0), ("sudden", 9.0), ("steady", 7.0)]}
    assert listed(rows, "30d", "category") == {"a > b": [("falling", 40.0)]}
    assert listed(rows, "all")["all"] == [("falling", 50.0), ("gone", 50.0), ("rare", 50.0)]
    assert {row["as_of"] for row in rows} == {AS_OF}


pairs = st.dictionaries(
    st.tuples(st.integers(0, 7), st.sampled_from("abcdef")), st.integers(0, 60), min_size=1, max_size=25
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    taken=pairs, groups=st.lists(st.sampled_from(["c=x", "c=y", ""]), min_size=8, max_size=8),
    prior=st.sampled_from([0.0, 2.5, 40.0]), length=st.integers(1, 7),
)  # fmt: skip
def test_lists_by_attribute_are_those_of_the_slow_twin(
    spark: SparkSession, taken: dict[tuple[int, str], int], groups: list[str], prior: float, length: int
) -> None:
    rows = [
        {
            "user_id": f"u{user}",
            "item_id": name,
            "newest": AS_OF - timedelta(days=days, hours=1),
            "scopes": [groups[user]] if groups[user] else None,
        }
        for (user, name), days in taken.items()
    ]
    schema = "user_id string, item_id string, newest timestamp, scopes array<string>"
    found = popular_by_attribute(
        local_frame(spark, schema, rows), as_of=AS_OF, length=length, prior_shoppers=prior
    ).collect()
    for window, within in (("7d", 7), ("30d", 30), ("all", math.inf)):
        inside = [key for key, days in taken.items() if days + 1 / 24 <= within]
        shoppers = len({user for user, _ in inside})
        expected = {}
        for scope in {groups[user] for user, _ in taken} - {""}:
            own = {
                name: len([1 for user, other in inside if other == name and groups[user] == scope]) for name in "abcdef"
            }
            every = {name: len([1 for _, other in inside if other == name]) for name in "abcdef"}
            common = sorted((name for name in every if every[name]), key=lambda name: (-every[name], name))[:length]
            scores = {
                name: own[name] + prior * every[name] / shoppers for name in "abcdef" if own[name] or name in common
            }
            scores = {name: score for name, score in scores.items() if score > 0}
            best = sorted(scores, key=lambda name: (-round(scores[name], 9), name))[:length]
            expected |= {scope: [(name, round(scores[name], 6)) for name in best]} if best else {}
        assert listed(found, window, "attribute") == expected


def test_only_frequent_values_have_lists(spark: SparkSession) -> None:
    people = {"u1": {"c": "x", "d": "1"}, "u2": {"c": "x", "d": "2"}, "u3": {"c": "y"}, "u4": {"c": "z"}, "u5": {}}
    attributes = local_frame(
        spark,
        "user_id string, attributes map<string,string>",
        [{"user_id": name, "attributes": list(values.items())} for name, values in people.items()],
    )
    rows = attribute_scopes(attributes, most_values=2).collect()
    assert {row["user_id"]: row["scopes"] for row in rows} == {
        "u1": ["c=x", "d=1"], "u2": ["c=x", "d=2"], "u3": ["c=y"],
    }  # fmt: skip
