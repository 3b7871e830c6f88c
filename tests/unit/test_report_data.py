"""The collector of the report: what it reads from records and tables of a home, without Spark."""

from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql.pandas.types import to_arrow_schema

from freshet.contracts import (
    EVENTS,
    ITEMS_HISTORY,
    RECOMMENDATION_UPDATES,
    RECOMMENDATIONS,
    STREAM_METRICS,
    USER_FEATURES,
    TableContract,
)
from freshet.core.records import write_record
from freshet.report.collect.page import collected
from freshet.report.collect.sources import Sources
from freshet.report.content import Missing, Page
from freshet.report.page.rendering import rendered
from freshet.runs.home import Home
from freshet.runs.steps import INGEST, TRAIN_SEGMENTS

CUT, AS_OF = datetime(2024, 3, 1), datetime(2024, 3, 31)
MADE = datetime(2024, 4, 1)
STEPS = [INGEST, TRAIN_SEGMENTS]


def write(home: Home, contract: TableContract, rows: list[dict[str, Any]]) -> None:
    schema = to_arrow_schema(contract.schema, timezone="UTC")
    table = pa.Table.from_pylist(rows, schema=schema)
    write_deltalake(str(home.warehouse / contract.name), table, partition_by=list(contract.partition_by) or None)


def shop_list(user: str, items: list[tuple[str, str]], clock: datetime, source: str, **other: Any) -> dict[str, Any]:
    places = [
        {"position": n, "item_id": item, "score": 1.0 / n, "reason": reason}
        for n, (item, reason) in enumerate(items, 1)
    ]
    return {"user_id": user, "event_clock": clock, "generation": 1, "model_version": "1.0", "source": source,
            "items": places, **other}  # fmt: skip


def bought(user: str | None, item: str, at: datetime, **other: Any) -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "event_time": at, "event_name": "purchase", "event_id": f"{item}-{at}",
            "item_position": 0, "quantity": 2.0, "currency": "EUR", "flags": [], "source": "shop", **other}  # fmt: skip


@pytest.fixture
def shop(home: Home) -> Home:
    """Three known customers and a visitor; u1 was touched by the stream, u9 came first in the live days."""
    windows = {"as_of": AS_OF.isoformat(), "cut": CUT.isoformat(), "validation_cut": "2024-01-30T00:00:00"}
    build = {"windows": {**windows, "shortened": False}, "target": "purchase", "fingerprint": "b"}
    ingest = {"source": "shop", "raw_rows": 12, "accepted": 10, "refused": {"bad_time": 2}, "fingerprint": "i"}
    write_record(home.steps, "ingest", ingest)
    write_record(home.steps, "build", build)
    write_record(home.steps, "recommend", {"policy": "next_baskets", "lists": 3, "fingerprint": "r"})
    write_record(home.steps, "replay", {"lists": 2, "seconds_p50": 0.5, "seconds_p95": 0.5, "fingerprint": "s"})
    write_record(home.steps, "train-segments", {"not_built": "no segments: 4 shoppers", "fingerprint": "g"})
    old = CUT - timedelta(days=40)
    write(home, EVENTS, [
        bought("u1", "mug", old), bought("u1", "tea", CUT + timedelta(days=2)), bought("u2", "mug", old),
        bought("u2", "fee", CUT, flags=["non_product"]), bought("u3", "tea", CUT - timedelta(days=5)),
        bought("u9", "tea", CUT + timedelta(days=3)), bought(None, "mug", old, anonymous_id="v1"),
        bought("u1", "late", AS_OF),
    ])  # fmt: skip
    features = {"u1": (9, 400.0, 40.0), "u2": (3, 300.0, 40.0), "u3": (1, 5.0, 5.0), "anon:v1": (1, 40.0, 40.0)}
    write(home, USER_FEATURES, [
        {"as_of": CUT, "user_id": user, "orders": orders, "events_365d": 1, "tenure_days": tenure, "idle_days": idle}
        for user, (orders, tenure, idle) in features.items()
    ])  # fmt: skip
    plain = [("mug", "popular_now"), ("tea", "popular_now")]
    write(home, RECOMMENDATIONS, [shop_list(user, plain, CUT, "batch") for user in features])
    fresh = [("pot", "similar_to:tea"), ("mug", "bought_before")]
    write(home, RECOMMENDATION_UPDATES, [
        shop_list("u1", plain, CUT + timedelta(days=1), "stream", query_id="live-s", batch_id=5),
        shop_list("u1", fresh, CUT + timedelta(days=2), "stream", query_id="live-s", batch_id=2),
        shop_list("u9", fresh, CUT + timedelta(days=3), "stream", query_id="live-s", batch_id=3),
    ])  # fmt: skip
    write(home, ITEMS_HISTORY, [
        {"item_id": "mug", "valid_from": old, "name": "Old mug"},
        {"item_id": "mug", "valid_from": CUT, "name": "Mug <b>"},
        {"item_id": "tea", "valid_from": old, "name": "Tea"}, {"item_id": "tea", "valid_from": CUT, "name": None},
    ])  # fmt: skip
    write(home, STREAM_METRICS, [
        {"query_id": query, "batch_id": n, "event_clock": CUT + timedelta(days=n), "touched_shoppers": 1, "lists": 1,
         "seconds": 0.5} for n in (2, 1) for query in ("live-s", "live-other")
    ])  # fmt: skip
    return home


def page(home: Home) -> Page:
    return collected(Sources(home, {}, 10), STEPS, MADE)


def test_an_empty_home_gives_a_page_that_names_the_step_each_part_waits_for(home: Home) -> None:
    made = page(home)
    parts = (
        made.intake,
        made.windows,
        made.quality,
        made.recipe,
        made.live,
        made.segments,
        made.propensity,
        made.shoppers,
    )
    steps = (
        "ingest",
        "build",
        "evaluate",
        "train-recommender",
        "replay",
        "train-segments",
        "train-propensity",
        "recommend",
    )
    assert parts == tuple(Missing(f"step {step} has not run in this home") for step in steps)
    assert "step evaluate has not run in this home" in rendered(made)


def test_a_step_that_built_nothing_is_reported_with_its_reason(shop: Home) -> None:
    made = page(shop)
    assert made.segments == Missing("no segments: 4 shoppers")
    assert [(step.title, step.not_built) for step in made.not_built] == [
        ("Train customer segments", "no segments: 4 shoppers")
    ]


def test_a_shopper_is_shown_next_to_the_newest_list_with_names_and_new_items(shop: Home) -> None:
    shoppers = page(shop).shoppers
    assert not isinstance(shoppers, Missing)
    by_user = {one.user_id: one for one in shoppers}
    one = by_user["u1"]
    assert one.kind == "A regular customer"
    assert [(line.item_name, line.is_live) for line in one.history] == [("Tea", True), ("Mug <b>", False)]
    assert [(p.item_id, p.reason_item, p.is_new) for p in one.places] == [("pot", "Tea", True), ("mug", None, False)]
    assert (one.source, one.event_clock) == ("stream", CUT + timedelta(days=2))


def test_shoppers_of_each_kind_are_found_where_there_are_any(shop: Home) -> None:
    shoppers = page(shop).shoppers
    assert not isinstance(shoppers, Missing)
    assert {one.kind: one.user_id for one in shoppers} == {
        "A regular customer": "u1",
        "A new customer": "u3",
        "First seen in the live days": "u9",
        "Not seen for a long time": "u2",
        "An anonymous visitor": "anon:v1",
    }
    by_user = {one.user_id: one for one in shoppers}
    assert [line.item_id for line in by_user["u2"].history] == ["mug"]
    assert [line.item_id for line in by_user["anon:v1"].history] == ["mug"]
    assert not by_user["u9"].had_batch_list


def test_live_batches_are_those_of_the_replay_s_own_query_in_order(shop: Home) -> None:
    live = page(shop).live
    assert not isinstance(live, Missing)
    assert [batch.number for batch in live.batches] == [1, 2]


def test_the_page_is_the_same_for_the_same_home(shop: Home) -> None:
    assert rendered(page(shop)) == rendered(page(shop))


def test_the_serving_version_is_shown_next_to_the_trained_one(shop: Home) -> None:
    write_record(shop.steps, "train-recommender", {"version": 2, "recipe": {}, "not_built": "x", "fingerprint": "t"})
    write_record(shop.steps, "train-propensity", {"version": 3, "metrics": {}, "fingerprint": "p"})
    refused = {"freshet-propensity": {"accepted": False, "reasons": ["worse"]}}
    write_record(shop.steps, "promote", {"decisions": refused, "fingerprint": "q"})
    models = collected(Sources(shop, {"freshet-propensity": 1}, 10), STEPS, MADE).models
    assert not isinstance(models, Missing)
    assert [(m.version, m.serves, m.accepted, m.reasons) for m in models] == [
        ("3.0", False, False, ("worse",)),
        ("1.0", True, None, ()),
    ]
