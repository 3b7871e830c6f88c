"""Items that the model does not know become part of a minor version, which the running stream takes over."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS, ITEMS_HISTORY, SIMILAR_ITEMS, STREAM_METRICS, USER_FACTORS
from freshet.core.records import write_record
from freshet.models.factors.parameters import AlsParameters
from freshet.ranking.artifact import Artifact
from freshet.runs.job import Job
from freshet.runs.registered_models import RECOMMENDER, champion, registry
from freshet.service.lists.item_refresh import ItemRefresh, RefreshCache, refreshed
from tests.artifacts import both
from tests.factories import event, events_frame, frame, moment
from tests.streaming.service import (
    ITEMS,
    click,
    feed_of,
    lists_now,
    promoted,
    put,
    rows_of,
    running,
    served_job,
    shop_artifact,
    until,
)

pytestmark = pytest.mark.streaming

ALS = AlsParameters(2, 3, 0.1, 5.0, 7)


@pytest.fixture
def job(spark: SparkSession, tmp_path: Path) -> Job:
    """A model with two tastes: even items to the one side, odd ones to the other; and its shoppers' vectors."""
    factors = [[1.0, 0.0] if n % 2 == 0 else [0.0, 1.0] for n in range(len(ITEMS))]
    model = shop_artifact(
        factors=factors, als=ALS, weights=both(factors=1.0, own_frequency=-9.0), user_half_life_days=30.0,
        item_half_life_days=30.0, event_weights={"view_item": 1.0},
    )  # fmt: skip
    job = served_job(spark, tmp_path / "home", model=model)
    windows = {name: "2026-01-01T00:00:00" for name in ("as_of", "cut", "validation_cut")} | {"shortened": []}
    write_record(job.home.steps, "build", {"fingerprint": "none", "windows": windows})
    vectors = [[1.0, 0.1], [0.9, 0.0], [0.1, 1.0]]
    rows = [{"model_version": "1.0", "user_id": f"u{n}", "user_index": n, "factors": v} for n, v in enumerate(vectors)]
    job.warehouse.replace(frame(spark, USER_FACTORS, rows), USER_FACTORS)
    return job


def view(number: int, user: str, item: str) -> dict[str, object]:
    """Received long after it happened: that must not keep it from counting."""
    at = f"2026-02-01 10:{number:02}"
    return event(name="view_item", user=user, item=item, at=at, received="2026-05-01", event_id=f"e{number}")


def solved(job: Job) -> tuple[str, Artifact]:
    version = champion(job, RECOMMENDER)
    assert version is not None
    return version.model_version, Artifact.load(version.folder)


def test_a_touched_item_gets_its_shoppers_taste_and_an_untouched_one_that_of_its_kind(
    spark: SparkSession, job: Job
) -> None:
    rows = [view(1, "u0", "i0"), view(2, "u0", "i2"), view(3, "u1", "i4"), view(4, "u0", "new"), view(5, "u1", "new")]
    job.warehouse.replace(events_frame(spark, rows), EVENTS)
    states = [
        {"item_id": item, "category_path": category, "valid_to": None, "brand": None}
        for item, category in (("i1", "odd"), ("i3", "odd"), ("quiet", "odd"), ("i0", "even"))
    ]
    states.append({"item_id": "gone", "category_path": "odd", "valid_to": moment("2026-01-15")})
    states = [{**state, "brand": "x"} for state in states]
    job.warehouse.replace(frame(spark, ITEMS_HISTORY, states), ITEMS_HISTORY)
    version = champion(job, RECOMMENDER)
    assert version is not None
    made = refreshed(job, version)
    assert made is not None
    name, model = solved(job)
    assert (made.model_version, name, made.generation) == ("1.1", "1.1", version.generation)
    vectors = dict(zip(model.items.to_pylist(), model.factors, strict=True))
    assert vectors.keys() == {*ITEMS, "new", "quiet"}
    # i1 and i3 have the words of quiet, odd and x, of which odd weighs 1 + ln(6 / 5) and x 1; i0 has x alone.
    of_brand = 1 / (1 + (1 + math.log(6 / 5)) ** 2)
    expected = np.array([of_brand, 2.0]) / (2.0 + of_brand + 0.1)
    np.testing.assert_allclose(vectors["quiet"], expected, rtol=1e-5)
    assert vectors["new"][0] > 5 * abs(vectors["new"][1])
    # The first artifact stays as it was registered; nothing new makes no further minor.
    assert Artifact.load(version.folder).items.to_pylist() == ITEMS
    assert refreshed(job, made) is None
    job.warehouse.append(events_frame(spark, [view(6, "u2", "i1"), view(7, "u2", "new")]), EVENTS)
    again = refreshed(job, made)
    assert again is not None
    assert again.model_version == "1.2"
    later = dict(zip(solved(job)[1].items.to_pylist(), solved(job)[1].factors, strict=True))
    assert later["new"][1] > vectors["new"][1]


def test_refreshes_leave_what_serves_and_the_one_before(spark: SparkSession, job: Job) -> None:
    version, memory = champion(job, RECOMMENDER), RefreshCache(job)
    for number in range(3):
        job.warehouse.append(events_frame(spark, [view(number, "u0", f"new{number}")]), EVENTS)
        assert version is not None
        version = refreshed(job, version, memory)
    assert sorted(folder.name for folder in registry(job).minor_folder(RECOMMENDER, 1, 1).parent.iterdir()) == [
        "1.2", "1.3",
    ]  # fmt: skip
    assert solved(job)[0] == "1.3"


def test_a_model_that_knows_everything_stays_as_it_is(spark: SparkSession, job: Job) -> None:
    job.warehouse.replace(events_frame(spark, [view(1, "u0", "i0")]), EVENTS)
    version = champion(job, RECOMMENDER)
    assert version is not None
    assert refreshed(job, version) is None
    assert registry(job).versions(RECOMMENDER)[0].minor == 0


def test_of_too_many_new_items_those_of_most_shoppers_are_taken(spark: SparkSession, job: Job) -> None:
    job = replace(job, settings=replace(job.settings, service=replace(job.settings.service, most_new_items=2)))
    rows = [view(1, "u0", "x"), view(2, "u0", "x"), view(3, "u0", "y"), view(4, "u1", "y"), view(5, "u0", "z")]
    job.warehouse.replace(events_frame(spark, [*rows, view(6, "u1", "z")]), EVENTS)
    job.warehouse.replace(frame(spark, ITEMS_HISTORY, [{"item_id": "quiet", "valid_to": None}]), ITEMS_HISTORY)
    version = champion(job, RECOMMENDER)
    assert version is not None
    assert refreshed(job, version) is not None
    assert {*solved(job)[1].items.to_pylist()} == {*ITEMS, "y", "z"}


@pytest.mark.parametrize("is_plain", [True, False], ids=["plain", "with deletion vectors"])
def test_only_events_since_the_cut_bring_items(spark: SparkSession, job: Job, is_plain: bool) -> None:
    rows = [{**view(1, "u0", "before"), "event_time": moment("2025-12-31")}, view(2, "u0", "after")]
    job.warehouse.replace(events_frame(spark, rows), EVENTS)
    if not is_plain:
        path = job.warehouse.path(EVENTS)
        spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = true)")
    version = champion(job, RECOMMENDER)
    assert version is not None
    assert refreshed(job, version) is not None
    assert {*solved(job)[1].items.to_pylist()} == {*ITEMS, "after"}


def test_a_refresh_goes_by_the_cut_and_the_shoppers_of_the_model_that_serves(spark: SparkSession, job: Job) -> None:
    job.warehouse.replace(events_frame(spark, [view(1, "u0", "x")]), EVENTS)
    refresh = ItemRefresh(job)
    refresh._refresh()
    assert "x" in solved(job)[1].items.to_pylist()
    windows: dict[str, object] = dict.fromkeys(("as_of", "cut", "validation_cut"), "2026-03-01T00:00:00")
    write_record(job.home.steps, "build", {"fingerprint": "later", "windows": {**windows, "shortened": []}})
    job.warehouse.append(events_frame(spark, [view(2, "u0", "y")]), EVENTS)
    refresh._refresh()
    assert "y" not in solved(job)[1].items.to_pylist()


def test_a_refresh_leaves_unavailable_items_out_of_similar_items(spark: SparkSession, job: Job) -> None:
    near = np.zeros((len(ITEMS), len(ITEMS)))
    near[[1, 2, 3], [0, 0, 1]] = [0.5, 0.4, 0.3]
    promoted(job, shop_artifact(neighbours=near), "with neighbours")
    refresh = ItemRefresh(job)

    def similar_after(available: bool, at: str) -> dict[str, list[tuple[int, str]]]:
        state = {"item_id": "i1", "valid_from": moment(at), "known_at": moment(at), "available": available}
        job.warehouse.append(frame(spark, ITEMS_HISTORY, [state]), ITEMS_HISTORY)
        refresh._refresh()
        rows = rows_of(job, SIMILAR_ITEMS)
        assert {row["model_version"] for row in rows} == {"2.0"}
        return {row["item_id"]: [(one["position"], one["item_id"]) for one in row["items"]] for row in rows}

    assert similar_after(False, "2026-01-02") == {"i0": [(1, "i2")], "i1": [(1, "i3")]}
    assert similar_after(True, "2026-01-03") == {"i0": [(1, "i1"), (2, "i2")], "i1": [(1, "i3")]}
    written = job.warehouse.version(SIMILAR_ITEMS)
    refresh._refresh()
    assert job.warehouse.version(SIMILAR_ITEMS) == written


def test_a_memory_knows_the_shoppers_of_each_version(spark: SparkSession, job: Job) -> None:
    version = champion(job, RECOMMENDER)
    assert version is not None
    memory, later = RefreshCache(job), replace(version, version=2)
    first = memory.user_gram(job, version)
    assert first is not None
    assert memory.user_gram(job, later) is None
    rows = [{"model_version": "2.0", "user_id": "u0", "user_index": 0, "factors": [3.0, 4.0]}]
    job.warehouse.append(frame(spark, USER_FACTORS, rows), USER_FACTORS)
    second = memory.user_gram(job, later)
    assert second is not None
    np.testing.assert_allclose(second, [[9.0, 12.0], [12.0, 16.0]])
    again = memory.user_gram(job, version)
    assert again is not None
    np.testing.assert_array_equal(again, first)


def test_the_running_stream_lists_a_new_item_after_the_refresh(spark: SparkSession, job: Job, tmp_path: Path) -> None:
    feed = feed_of(tmp_path / "clicks")
    with running(job, feed):
        put(feed.path, "a.json", click(1, "ann", "i2"), click(2, "ann", "new"), click(3, "bob", "i0"))
        until(lambda: {"ann", "bob"} <= lists_now(job).keys())
        assert "new" not in lists_now(job)["bob"]
        until(lambda: len(rows_of(job, EVENTS)) == 3)
        version = champion(job, RECOMMENDER)
        assert version is not None
        assert refreshed(job, version) is not None
        put(feed.path, "b.json", click(4, "bob", "i4"))
        until(lambda: "new" in lists_now(job)["bob"][:8])
    figures = [row for row in rows_of(job, STREAM_METRICS) if row["job"] == "lists"]
    assert {row["model_version"] for row in figures} == {"1.0", "1.1"}
    assert max(figures, key=lambda row: row["batch_id"])["unknown_items"] == 0
