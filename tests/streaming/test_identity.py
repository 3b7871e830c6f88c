"""Sessions that log in: their history joins the customer's, in batch and stream by the same rule."""

import random
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS, RECOMMENDATION_UPDATES
from freshet.contracts.identity import joined_sessions
from freshet.features.interactions import histories
from freshet.ranking.lists.shopper_lists import recommended
from freshet.runs.registered_models import RECOMMENDER, champion
from tests.factories import Row, event, events_frame, moment
from tests.streaming.service import click, feed_of, lists_now, put, rows_of, running, served_job, until

pytestmark = pytest.mark.streaming


def expected_joins(rows: list[Row]) -> list[tuple[str, str]]:
    """(event_id, customer) by the words of the rule."""
    # At one moment those who log in come last, the first of them by id first.
    ordered = sorted(rows, key=lambda row: (row["event_time"], row["user_id"] is not None, row["user_id"] or ""))
    found = []
    for place, row in enumerate(ordered):
        if row["user_id"] is None and row["anonymous_id"] is not None:
            later = (other["user_id"] for other in ordered[place:]
                     if other["anonymous_id"] == row["anonymous_id"] and other["user_id"] is not None)  # fmt: skip
            customer = next(later, None)
            if customer is not None:
                found.append((row["event_id"], customer))
    return sorted(found)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_event_without_customer_joins_the_next_one_who_logs_in(spark: SparkSession, seed: int) -> None:
    draw = random.Random(seed)
    rows = [
        event(
            name="view_item", user=draw.choice([None, None, None, "ann", "bob"]), event_id=f"e{n:02}",
            anonymous_id=draw.choice(["x", "y", None]), at=f"2026-01-{draw.randint(1, 20):02}", item=f"i{n}",
        )
        for n in range(40)
    ]  # fmt: skip
    joined = joined_sessions(events_frame(spark, rows)).collect()
    assert sorted((row["event_id"], row["user_id"]) for row in joined) == expected_joins(rows)


def test_a_joined_event_is_known_no_earlier_than_the_login(spark: SparkSession) -> None:
    rows = [
        event(user=None, anonymous_id="x", at="2026-01-01", received="2026-01-01"),
        event(user="ann", anonymous_id="x", at="2026-01-02", received="2026-01-03"),
    ]
    assert [row["received_time"] for row in joined_sessions(events_frame(spark, rows)).collect()] == [
        moment("2026-01-03")
    ]


def test_a_session_gets_lists_and_takes_its_history_to_the_customer(spark: SparkSession, tmp_path: Path) -> None:
    job = served_job(spark, tmp_path / "home")
    feed = feed_of(tmp_path / "clicks")

    def visit(number: int, item: str, user: str | None = None) -> dict[str, object]:
        return click(number, user, item, anonymous_id="x")

    put(feed.path, "a.json", click(1, "ann", "i2"))
    with running(job, feed):
        until(lambda: "ann" in lists_now(job))
        put(feed.path, "b.json", visit(2, "i7"), visit(3, "i7"), visit(4, "i7"))
        until(lambda: lists_now(job).get("anon:x", [])[:1] == ["i7"])
        put(feed.path, "c.json", visit(5, "i4", user="ann"), visit(6, "i4", user="ann"))
        until(lambda: lists_now(job)["ann"][:3] == ["i7", "i4", "i2"])
        sessions = [row for row in rows_of(job, RECOMMENDATION_UPDATES) if row["user_id"] == "anon:x"]
        # Logged out and in again: only what is new moves, and counts once.
        put(feed.path, "d.json", visit(7, "i4"), visit(8, "i4"))
        until(lambda: lists_now(job)["anon:x"][:2] == ["i7", "i4"])
        put(feed.path, "e.json", visit(9, "i9", user="ann"))
        until(lambda: lists_now(job)["ann"][:4] == ["i4", "i7", "i2", "i9"])
    assert len(sessions) == 1  # while logged in, a session has no lists of its own
    version = champion(job, RECOMMENDER)
    assert version is not None
    batch = recommended(
        histories(
            job.warehouse.read(EVENTS), max_events=100, event_names=job.settings.interactions.event_names
        ), artifact=version.folder,
        clock=moment("2026-02-01 10:09"), length=20, policy="next_baskets",
    ).collect()  # fmt: skip
    newest = lists_now(job)
    for row in batch:
        assert [item["item_id"] for item in row["items"]] == newest[row["user_id"]], row["user_id"]
