"""Customer segments: KMeans on scaled features, with numbers and names that do not depend on KMeans' own order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.clustering import KMeans, KMeansModel
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.feature import SQLTransformer, StandardScaler, VectorAssembler
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.errors import DataTooSmallError
from freshet.models.segment_names import SegmentRoles, named, value_order

FEATURES, CLUSTER = "_features", "_cluster"
_BUCKETS = 1_000_000


@dataclass(frozen=True)
class SegmentParameters:
    """How many segments may be made and how they are judged.

    `least_segments` to `most_segments`: numbers of segments tried. `min_shoppers`: shoppers needed. `sample_shoppers`:
    about so many, chosen by a hash of the id, judge a number of segments. `min_silhouette`: of segments that are of
    use. `seed`, `max_iter`, `init_steps`: as in MLlib's KMeans.
    """

    least_segments: int
    most_segments: int
    min_shoppers: int
    sample_shoppers: int
    min_silhouette: float
    seed: int
    max_iter: int
    init_steps: int

    def __post_init__(self) -> None:
        problems = []
        if not 2 <= self.least_segments <= self.most_segments:
            problems.append("least_segments must be 2 or more and most_segments no less than it")
        for name in ("min_shoppers", "sample_shoppers", "max_iter", "init_steps"):
            if getattr(self, name) < 1:
                problems.append(f"{name} must be 1 or more")
        if not -1 <= self.min_silhouette <= 1:
            problems.append("min_silhouette must be from -1 to 1")
        if problems:
            raise ValueError("; ".join(problems))


class FittedSegments(NamedTuple):
    """The fitted pipeline (input: user_id and the feature columns), and the silhouette of each number tried."""

    model: PipelineModel
    silhouettes: dict[int, float]

    @property
    def segments(self) -> int:
        """The number of segments: that of the highest silhouette, of equals the smaller."""
        return max(self.silhouettes, key=lambda k: (self.silhouettes[k], -k))


def fit_segments(
    features: DataFrame, columns: Sequence[str], *, roles: SegmentRoles, params: SegmentParameters
) -> FittedSegments:
    """Segments of shoppers that are alike in `columns` (numbers, never null, on a scale on which distances mean much).

    `features` has a row per user_id, with `columns` and those of `roles`. The number of segments is the one with the
    highest mean silhouette (Rousseeuw 1987, squared Euclidean) on a sample. Segments are numbered from 0 by falling
    value and named by `segment_names.named`. Runs Spark jobs. Raises DataTooSmallError with fewer shoppers than
    `min_shoppers`, or fewer different ones than the least number of segments.
    """
    shoppers = features.count()
    if shoppers < params.min_shoppers:
        raise DataTooSmallError(f"{shoppers} shoppers are too few for segments", expected=f"{params.min_shoppers}")
    inputs = Pipeline(
        stages=[
            VectorAssembler(inputCols=list(columns), outputCol="_raw"),
            StandardScaler(withMean=True, withStd=True, inputCol="_raw", outputCol=FEATURES),
        ]
    ).fit(features)
    ready = inputs.transform(features).select("user_id", FEATURES).persist()
    try:
        # The block solver fails outright where there are fewer different shoppers than centres.
        different = ready.select(FEATURES).distinct().limit(params.most_segments).count()
        if different < params.least_segments:
            raise DataTooSmallError("shoppers are too much alike for segments")
        models = {k: _clusters(ready, k, params) for k in range(params.least_segments, different + 1)}
        judges = ready.where(_sampled(params.sample_shoppers / shoppers)).persist()
        silhouettes = {k: _silhouette(model.transform(judges)) for k, model in models.items()}
        judges.unpersist()
    finally:
        ready.unpersist()
    # KMeans finds fewer centres than asked for where there are fewer different shoppers.
    silhouettes = {k: value for k, value in silhouettes.items() if len(models[k].clusterCenters()) == k}
    if not silhouettes:
        raise DataTooSmallError("shoppers are too much alike for segments")
    best = FittedSegments(inputs, silhouettes).segments
    unlabelled = PipelineModel([*inputs.stages, models[best]])
    labels = _labels(_stands(unlabelled.transform(features), roles, segments=best), roles)
    return FittedSegments(PipelineModel([*unlabelled.stages, labels]), silhouettes)


def segments_of(model: PipelineModel, features: DataFrame) -> DataFrame:
    """(as_of, user_id, segment_id int, segment_name) for every row of `features` (as_of, user_id, feature columns)."""
    return model.transform(features).select("as_of", "user_id", "segment_id", "segment_name")


def profiles(segments: DataFrame, features: DataFrame, columns: Sequence[str]) -> DataFrame:
    """(segment_id, segment_name, size, means of `columns`): a row per segment with shoppers.

    `segments` as from `segments_of`; `features` has as_of, user_id and `columns` in their own units, whose nulls do not
    count in a mean; a mean of nothing but nulls is null.
    """
    joined = segments.join(features.select("as_of", "user_id", *columns), on=["as_of", "user_id"], how="inner")
    means = [F.avg(name).alias(name) for name in columns]
    return joined.groupBy("segment_id", "segment_name").agg(F.count(F.lit(1)).alias("size"), *means)


def _clusters(ready: DataFrame, k: int, params: SegmentParameters) -> KMeansModel:
    return KMeans(
        featuresCol=FEATURES,
        predictionCol=CLUSTER,
        k=k,
        seed=params.seed,
        maxIter=params.max_iter,
        initSteps=params.init_steps,
        # Five times as fast as "row" on dense vectors; "auto" chooses "row".
        solver="block",
    ).fit(ready)


def _sampled(share: float) -> Column:
    return F.pmod(F.xxhash64("user_id"), F.lit(_BUCKETS)) < int(share * _BUCKETS)


def _silhouette(clustered: DataFrame) -> float:
    """The mean silhouette; -1 where the sample lies in one cluster."""
    if clustered.select(CLUSTER).distinct().limit(2).count() < 2:
        return -1.0
    evaluator = ClusteringEvaluator(featuresCol=FEATURES, predictionCol=CLUSTER)
    return float(evaluator.evaluate(clustered.withColumn(CLUSTER, F.col(CLUSTER).cast("double"))))


def _stands(clustered: DataFrame, roles: SegmentRoles, *, segments: int) -> list[dict[str, float]]:
    """Of each cluster, by number, the mean of every role's column in deviations from the mean of all shoppers."""
    columns = roles.columns
    moments = [function(name) for function in (F.avg, F.stddev_pop) for name in columns]
    means, deviations = _halves(clustered.agg(*moments).collect()[0])
    rows = clustered.groupBy(CLUSTER).agg(*[F.avg(name) for name in columns]).collect()
    stands: list[dict[str, float]] = [dict.fromkeys(columns, 0.0) for _ in range(segments)]
    for cluster, *values in rows:
        parts = zip(columns, values, means, deviations, strict=True)
        stands[cluster] = {name: (value - mean) / (sd or 1.0) for name, value, mean, sd in parts}
    return stands


def _halves(row: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    return row[: len(row) // 2], row[len(row) // 2 :]


def _labels(stands: list[dict[str, float]], roles: SegmentRoles) -> SQLTransformer:
    """The stage that turns KMeans' cluster into segment_id and segment_name, saved with the model."""
    numbers = " ".join(f"WHEN {cluster} THEN {n}" for n, cluster in enumerate(value_order(stands, roles)))
    texts = " ".join(f"WHEN {cluster} THEN '{name}'" for cluster, name in enumerate(named(stands, roles)))
    return SQLTransformer(
        statement=f"SELECT *, CASE {CLUSTER} {numbers} END AS segment_id, CASE {CLUSTER} {texts} END AS segment_name "
        "FROM __THIS__"
    )
