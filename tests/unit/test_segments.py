"""Customer segments: found where they are, and named the same whatever KMeans calls them."""

import dataclasses
import itertools
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from freshet.core.errors import DataTooSmallError
from freshet.models.segments.model import SegmentParameters, fit_segments, profiles, segments_of
from freshet.models.segments.names import SegmentRoles, named, value_order
from freshet.models.segments.search import SegmentSearch, searched_segments
from freshet.numeric.collective import Alone
from tests.factories import local_frame
from tests.gang import in_tasks

AS_OF = datetime(2021, 7, 1)
COLUMNS = ["silence", "frequency", "value"]
ROLES = SegmentRoles("silence", "frequency", "value", "tenure")
PARAMETERS = SegmentParameters(
    least_segments=2,
    most_segments=5,
    min_shoppers=10,
    sample_shoppers=1000,
    min_share=0.01,
    min_silhouette=0.1,
    seed=1,
    max_iter=20,
)

GROUPS = {"loyal": (1.0, 4.0, 6.0, 6.0), "lost": (6.0, 0.7, 2.0, 6.0), "new": (1.0, 0.7, 2.0, 1.0)}
"""Middles of three groups far apart: silence, frequency, value, tenure, all logarithms."""


def shoppers(spark: SparkSession, each: int = 40) -> DataFrame:
    """`each` shoppers about the middle of every group; their id begins with the group's name."""
    random = np.random.default_rng(5)
    rows = [
        {
            "as_of": AS_OF,
            "user_id": f"{name} {number}",
            **dict(zip(ROLES.columns, random.normal(middle, 0.15), strict=True)),
        }
        for name, middle in GROUPS.items()
        for number in range(each)
    ]
    return local_frame(
        spark, "as_of timestamp, user_id string, silence double, frequency double, value double, tenure double", rows
    )


def group_names(segments: DataFrame) -> dict[str, set[tuple[int, str]]]:
    """The (segment_id, segment_name) that the shoppers of each group got."""
    found: dict[str, set[tuple[int, str]]] = {name: set() for name in GROUPS}
    for row in segments.collect():
        found[row["user_id"].split()[0]].add((row["segment_id"], row["segment_name"]))
    return found


def test_groups_are_found_and_named_the_same_under_every_seed(spark: SparkSession) -> None:
    rows = shoppers(spark)
    columns = [*COLUMNS, "tenure"]
    for seed in (1, 2):
        fitted = fit_segments(rows, columns, roles=ROLES, params=dataclasses.replace(PARAMETERS, seed=seed))
        assert fitted.segments == 3
        found = group_names(segments_of(fitted.model, rows))
        assert found["loyal"] == {(0, "loyal")}
        assert {name: {text for _, text in got} for name, got in found.items()} == {name: {name} for name in GROUPS}


def test_without_prices_frequency_replaces_value(spark: SparkSession) -> None:
    roles = SegmentRoles("silence", "frequency", None, "tenure")
    rows = shoppers(spark).drop("value")
    params = dataclasses.replace(PARAMETERS, least_segments=3, most_segments=3)
    fitted = fit_segments(rows, ["silence", "frequency", "tenure"], roles=roles, params=params)
    found = group_names(segments_of(fitted.model, rows))
    assert found["loyal"] == {(0, "loyal")}
    assert {text for _, text in found["lost"]} == {"lost"}


def test_profiles_hold_sizes_and_means_that_leave_nulls_out(spark: SparkSession) -> None:
    schema = "as_of timestamp, user_id string, segment_id int, segment_name string, spend double"
    rows = [
        {"as_of": AS_OF, "user_id": "a", "segment_id": 0, "segment_name": "loyal", "spend": 10.0},
        {"as_of": AS_OF, "user_id": "b", "segment_id": 0, "segment_name": "loyal", "spend": None},
        {"as_of": AS_OF, "user_id": "c", "segment_id": 1, "segment_name": "lost", "spend": None},
    ]
    whole = local_frame(spark, schema, rows)
    found = profiles(whole.drop("spend"), whole.select("as_of", "user_id", "spend"), ["spend"]).collect()
    assert sorted(map(tuple, found)) == [(0, "loyal", 2, 10.0), (1, "lost", 1, None)]


def test_too_few_or_too_similar_shoppers_are_reported(spark: SparkSession) -> None:
    rows = shoppers(spark, each=4)
    with pytest.raises(DataTooSmallError, match="12 shoppers are too few for segments; expected 13"):
        fit_segments(rows, COLUMNS, roles=ROLES, params=dataclasses.replace(PARAMETERS, min_shoppers=13))
    same = rows.selectExpr("as_of", "user_id", *[f"1.0D as {name}" for name in ROLES.columns])
    with pytest.raises(DataTooSmallError, match="too much alike"):
        fit_segments(same, COLUMNS, roles=ROLES, params=dataclasses.replace(PARAMETERS, most_segments=2))


def plain_silhouette(rows: np.ndarray, labels: np.ndarray) -> float:
    """Rousseeuw's definition, row by row, by squared distance."""
    scores = []
    for row, label in zip(rows, labels, strict=True):
        apart = ((rows - row) ** 2).sum(axis=1)
        nearest = min(apart[labels == other].mean() for other in set(labels.tolist()) - {int(label)})
        own = apart[labels == label].sum() / max(1, (labels == label).sum() - 1)
        scores.append((nearest - own) / max(own, nearest) if (labels == label).sum() > 1 else 0.0)
    return float(np.mean(scores))


@pytest.mark.unit
@pytest.mark.parametrize("tasks", [1, 3])
def test_every_number_of_segments_is_judged_by_its_silhouette(tasks: int) -> None:
    random = np.random.default_rng(3)
    values = np.concatenate([random.normal(middle, 1.0, (60, 2)) for middle in (0.0, 4.0, 9.0)])
    table = np.column_stack([np.zeros(len(values)), values, values[:, ::-1]])
    batches = [
        pa.RecordBatch.from_arrays([*map(pa.array, part.T)], names=list("pabcd"))
        for part in np.array_split(table, tasks)
    ]
    search = SegmentSearch(2, 2, 2, 4, min_shoppers=1, sample_shoppers=1000, min_share=0.0, seed=1, max_iter=30)
    made = in_tasks(lambda batch, peers: searched_segments(search, iter([batch]), peers), batches)[-1]
    assert made["tried"].tolist() == [2.0, 3.0, 4.0]
    assert made["silhouettes"].argmax() == 1
    rows = (values - values.mean(axis=0)) / values.std(axis=0, ddof=1)
    labels = np.array([((row - made["centres"]) ** 2).sum(axis=1).argmin() for row in rows])
    assert made["silhouettes"][1] == pytest.approx(plain_silhouette(rows, labels), abs=1e-5)
    # The roles' columns are the same two in the other order.
    means = np.array([rows[labels == cluster].mean(axis=0)[::-1] for cluster in range(3)])
    assert made["positions"] == pytest.approx(means, abs=1e-5)


@pytest.mark.unit
@pytest.mark.parametrize(("min_share", "chosen"), [(0.0, 3), (0.01, 2), (0.9, 3)])
def test_a_handful_of_outliers_is_no_segment_where_there_is_a_choice(min_share: float, chosen: int) -> None:
    random = np.random.default_rng(4)
    values = np.concatenate([random.normal(middle, 1.0, (300, 1)) for middle in (0.0, 6.0)] + [np.full((3, 1), 20.0)])
    table = np.column_stack([np.zeros(len(values)), values, values])
    batch = pa.RecordBatch.from_arrays([*map(pa.array, table.T)], names=list("pab"))
    search = SegmentSearch(1, 1, 2, 3, min_shoppers=1, sample_shoppers=1000, min_share=min_share, seed=1, max_iter=30)
    found = searched_segments(search, iter([batch]), Alone())
    assert int(found["chosen"]) == chosen


STANDS = [
    dict(zip(ROLES.columns, stand, strict=True))
    for stand in [(-1.1, 1.2, 1.2, 0.5), (0.7, 0.5, 0.4, 0.5), (1.1, -0.8, -0.8, 0.5), (-0.8, -0.5, -0.5, -1.5)]
]


@pytest.mark.unit
def test_names_and_order_follow_the_segments_through_every_renumbering() -> None:
    for order in itertools.permutations(range(len(STANDS))):
        shuffled = [STANDS[place] for place in order]
        names = dict(zip(order, named(shuffled, ROLES), strict=True))
        assert names == {0: "loyal", 1: "lapsing", 2: "lost", 3: "new"}
        assert [order[place] for place in value_order(shuffled, ROLES)] == [0, 1, 3, 2]


@pytest.mark.unit
def test_every_segment_has_a_name_of_its_own_also_when_names_run_out() -> None:
    random = np.random.default_rng(1)
    many = [dict(zip(ROLES.columns, random.normal(0, 1, 4), strict=True)) for _ in range(12)]
    names = named(many, ROLES)
    assert len(set(names)) == 12
    assert sum(name[-1].isdigit() for name in names) == 4


@pytest.mark.unit
@pytest.mark.parametrize(
    "wrong", [{"least_segments": 1}, {"most_segments": 1}, {"min_silhouette": 2.0}, {"max_iter": 0}]
)
def test_impossible_parameters_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        dataclasses.replace(PARAMETERS, **wrong)
