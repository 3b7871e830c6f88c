"""Identity stitching on designed visitors."""

from pyspark.sql import SparkSession

from freshet.cleaning.identity import stitched
from tests.factories import event, events_frame


def test_anonymous_events_get_the_only_user_of_their_id(spark: SparkSession) -> None:
    rows = [
        event(user=None, anonymous_id="a", event_id="before"),
        event(user="u1", anonymous_id="a", event_id="login"),
        event(user=None, anonymous_id="shared", event_id="whose"),
        event(user="u1", anonymous_id="shared", event_id="one"),
        event(user="u2", anonymous_id="shared", event_id="two"),
        event(user=None, anonymous_id="never", event_id="unknown"),
        event(user="u3", event_id="plain"),
    ]
    found = {row["event_id"]: row["user_id"] for row in stitched(events_frame(spark, rows)).collect()}
    assert found == {
        "before": "u1", "login": "u1", "whose": None, "one": "u1", "two": "u2", "unknown": None, "plain": "u3",
    }  # fmt: skip
