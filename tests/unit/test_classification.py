"""Figures of probabilities: hand-computed cases, scikit-learn and plain loops as oracles."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from freshet.core.errors import DataTooSmallError
from freshet.evaluation.classification import best_f1_threshold, calibration, probability_figures
from freshet.evaluation.clustering import silhouette
from tests.factories import local_frame


def scored_frame(spark: SparkSession, labels: list[int | None], probabilities: list[float | None]) -> DataFrame:
    rows = [{"label": y, "probability": p} for y, p in zip(labels, probabilities, strict=True)]
    return local_frame(spark, "label int, probability double", rows).repartition(3)


def figures(scored: DataFrame, threshold: float = 0.5) -> dict[str, float]:
    return {row["metric"]: row["value"] for row in probability_figures(scored, threshold=threshold).collect()}


def random_cases(seed: int, decimals: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cases whose probabilities are rounded, so that few decimals mean many ties, 0 and 1 among them."""
    chance = np.random.default_rng(seed)
    p = np.round(np.clip(chance.normal(0.4, 0.3, 400), 0, 1), decimals)
    return (chance.random(400) < 0.2 + 0.5 * p).astype(int), p


def test_a_small_case_equals_hand_computed_figures(spark: SparkSession) -> None:
    # Positives at .9 and .4, negatives at .4 (a tie) and .1; the last two rows are no cases.
    labels: list[int | None] = [1, 1, 0, 0, None, 1]
    found = figures(scored_frame(spark, labels, [0.9, 0.4, 0.4, 0.1, 0.7, float("nan")]), threshold=0.4)
    assert found["auc"] == pytest.approx(3.5 / 4)
    assert found["average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found["brier"] == pytest.approx((0.01 + 0.36 + 0.16 + 0.01) / 4)
    assert (found["precision"], found["recall"]) == pytest.approx((2 / 3, 1.0))
    assert (found["f1"], found["accuracy"]) == pytest.approx((0.8, 0.75))
    assert (found["positive_rate"], found["threshold"]) == (0.5, 0.4)
    # Bins .1: gap .1 of 1 case, .4: |.5 - .4| of 2 cases, .9: .1 of 1 case.
    assert found["calibration_error"] == pytest.approx(0.1)


@pytest.mark.parametrize(("seed", "decimals"), [(1, 1), (2, 12)])
def test_random_cases_equal_scikit_learn(spark: SparkSession, seed: int, decimals: int) -> None:
    y, p = random_cases(seed, decimals)
    found = figures(scored_frame(spark, y.tolist(), p.tolist()), threshold=0.6)
    predicted = p >= 0.6
    assert found["auc"] == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert found["average_precision"] == pytest.approx(average_precision_score(y, p), abs=1e-12)
    assert found["log_loss"] == pytest.approx(log_loss(y, p), abs=1e-9)
    assert found["brier"] == pytest.approx(brier_score_loss(y, p), abs=1e-12)
    assert found["precision"] == pytest.approx(precision_score(y, predicted))
    assert found["recall"] == pytest.approx(recall_score(y, predicted))
    assert found["f1"] == pytest.approx(f1_score(y, predicted))
    assert found["accuracy"] == pytest.approx(accuracy_score(y, predicted))
    bins = np.minimum((p * 10).astype(int), 9)
    gaps = [abs(y[bins == b].mean() - p[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    assert found["calibration_error"] == pytest.approx(sum(gaps), abs=1e-12)


def test_one_label_or_no_case_leaves_undefined_figures_null(spark: SparkSession) -> None:
    # Two negatives, none predicted as positive: nothing but the fit and the accuracy is defined.
    single = figures(scored_frame(spark, [0, 0], [0.2, 0.3]))
    assert {name for name, value in single.items() if value is None} == {
        "auc",
        "average_precision",
        "precision",
        "recall",
        "f1",
    }
    rows = probability_figures(scored_frame(spark, [None], [0.5]), threshold=0.5).collect()
    assert {row["users"] for row in rows} == {0}
    assert {row["metric"] for row in rows if row["value"] is not None} == {"threshold"}


def test_equal_width_bins_hold_their_borders_and_the_last_one_includes_1(spark: SparkSession) -> None:
    scored = scored_frame(spark, [0, 1, 1, 1], [0.0, 0.5, 0.74, 1.0])
    rows = calibration(scored, bins=4, equal_count=False).orderBy("bin").collect()
    assert [tuple(row) for row in rows] == [
        (0, 0.0, 0.25, 1, 0.0, 0.0),
        (2, 0.5, 0.75, 2, pytest.approx(0.62), 1.0),
        (3, 0.75, 1.0, 1, 1.0, 1.0),
    ]


def test_equal_count_bins_have_like_sizes_and_keep_ties_together(spark: SparkSession) -> None:
    p = [0.1, 0.2, 0.3, 0.3, 0.3, 0.8]
    rows = calibration(scored_frame(spark, [0, 0, 0, 1, 1, 1], p), bins=3, equal_count=True).orderBy("bin").collect()
    assert [(row["low"], row["high"], row["n"]) for row in rows] == [(0.1, 0.2, 2), (0.3, 0.3, 3), (0.8, 0.8, 1)]
    assert rows[1]["observed_share"] == pytest.approx(2 / 3)
    y, q = random_cases(3, 12)
    sizes = [
        row["n"] for row in calibration(scored_frame(spark, y.tolist(), q.tolist()), bins=5, equal_count=True).collect()
    ]
    # Probabilities cut off at 0 are a tie of some dozens.
    assert sum(sizes) == 400
    assert max(sizes) <= 80 + np.count_nonzero(q == 0)


@pytest.mark.parametrize("seed", [4, 5])
def test_best_threshold_equals_trying_all(spark: SparkSession, seed: int) -> None:
    y, p = random_cases(seed, 2)
    tried = [(f1_score(y, p >= t), t) for t in sorted(set(p.tolist()))]
    assert best_f1_threshold(scored_frame(spark, y.tolist(), p.tolist())) == max(tried)[1]


def test_a_threshold_without_positive_case_is_refused(spark: SparkSession) -> None:
    with pytest.raises(DataTooSmallError, match="positive case"):
        best_f1_threshold(scored_frame(spark, [0, 0], [0.2, 0.3]))


def clustered_frame(spark: SparkSession, points: list[tuple[float, float, int]]) -> DataFrame:
    rows = [{"point": [x, y], "segment_id": c} for x, y, c in points]
    frame = local_frame(spark, "point array<double>, segment_id int", rows)
    return frame.withColumn("features", array_to_vector("point"))


def test_silhouette_equals_the_definition_with_squared_distances(spark: SparkSession) -> None:
    points = [(0.0, 0.0, 0), (0.0, 1.0, 0), (3.0, 0.0, 1), (4.0, 1.0, 1), (3.0, 2.0, 1)]
    values = []
    for n, (x, y, c) in enumerate(points):
        apart: dict[int, list[float]] = {}
        for m, (a, b, d) in enumerate(points):
            if n != m:
                apart.setdefault(d, []).append((x - a) ** 2 + (y - b) ** 2)
        own, other = np.mean(apart[c]), np.mean(apart[1 - c])
        values.append((other - own) / max(own, other))
    found = silhouette(clustered_frame(spark, points), features="features", cluster="segment_id")
    assert found == pytest.approx(np.mean(values))


def test_silhouette_of_one_cluster_is_refused(spark: SparkSession) -> None:
    frame = clustered_frame(spark, [(0.0, 0.0, 1), (1.0, 0.0, 1)])
    with pytest.raises(DataTooSmallError, match="two clusters"):
        silhouette(frame, features="features", cluster="segment_id")
