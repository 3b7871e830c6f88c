"""Customer segments: KMeans on scaled features, with numbers and names that do not depend on KMeans' order."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator
from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.clustering import KMeansModel
from pyspark.ml.feature import SQLTransformer, VectorAssembler
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.core.errors import DataTooSmallError
from freshet.core.parameters import parameters
from freshet.models.mllib import kmeans_model, refuse_unknown, standardized_sql
from freshet.models.segments.names import SegmentRoles, named, value_order
from freshet.models.segments.search import SegmentSearch, searched_segments
from freshet.numeric.blocks import Floats
from freshet.numeric.collective import over_partitions

FEATURES, CLUSTER = "_features", "_cluster"
_BUCKETS = 1_000_000


@parameters
class SegmentParameters:
    """The range of the number of segments, and how it is chosen."""

    least_segments: int = Field(
        ge=2, description="fewest segments tried; two would only separate frequent buyers from the rest"
    )
    most_segments: int = Field(ge=2, description="most segments tried; there are names for eight")
    min_shoppers: int = Field(ge=1, description="fewest shoppers required")
    sample_shoppers: int = Field(
        ge=1, description="shoppers in the sample that scores a number of segments, chosen by hash"
    )
    min_share: float = Field(
        ge=0,
        le=1,
        description="share of shoppers below which a segment is seen as outliers; numbers without such are preferred",
    )
    min_silhouette: float = Field(ge=-1, le=1, description="-1 to 1; segments with a lower silhouette are refused")
    seed: int = Field(description="random seed of the initial centres")
    max_iter: int = Field(ge=1, description="maximum iterations of KMeans")

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.least_segments > self.most_segments:
            raise ValueError("most_segments must be no less than least_segments")
        return self


class FittedSegments(NamedTuple):
    """The fitted pipeline (input: user_id and the feature columns), and the silhouette of each number tried.

    `segments`: the number chosen; `shoppers`: how many it was fitted to.
    """

    model: PipelineModel
    silhouettes: dict[int, float]
    segments: int
    shoppers: int


def fit_segments(
    features: DataFrame, columns: Sequence[str], *, roles: SegmentRoles, params: SegmentParameters
) -> FittedSegments:
    """Segments of shoppers with similar `columns` (numbers, never null, on scales on which distances are meaningful).

    `features` has a row per user_id, with `columns` and those of `roles`. The number of segments is the one with the
    highest mean silhouette (Rousseeuw 1987, squared Euclidean) on a sample, among those without a segment of less than
    `min_share` of the shoppers. Segments are numbered from 0 by falling value and named by `names.named`. The rows are
    read once: the tasks that hold them find and evaluate every number of segments. Raises DataTooSmallError with fewer
    shoppers than `min_shoppers`, or fewer distinct ones than the least number of segments.
    """
    search = SegmentSearch(
        columns=len(columns),
        roles=len(roles.columns),
        least_segments=params.least_segments,
        most_segments=params.most_segments,
        min_shoppers=params.min_shoppers,
        sample_shoppers=params.sample_shoppers,
        min_share=params.min_share,
        seed=params.seed,
        max_iter=params.max_iter,
    )
    names = (*columns, *roles.columns)
    numbers = [F.col(name).cast("double").alias(f"_{number}") for number, name in enumerate(names)]
    sampling = (F.pmod(F.xxhash64("user_id"), F.lit(_BUCKETS)) / _BUCKETS).alias("_sampling")
    found = over_partitions(features.select(sampling, *numbers), partial(searched_segments, search))
    shoppers = int(found.get("shoppers", 0))
    if shoppers < params.min_shoppers:
        raise DataTooSmallError(f"{shoppers} shoppers are too few for segments", expected=f"{params.min_shoppers}")
    refuse_unknown(found.get("scaling", np.zeros(0)), where="features")
    if not len(found["tried"]):
        raise DataTooSmallError("shoppers are too much alike for segments")
    silhouettes = dict(zip(found["tried"].astype(int).tolist(), found["silhouettes"].tolist(), strict=True))
    positions = [dict(zip(roles.columns, means, strict=True)) for means in found["positions"].tolist()]
    stages = [*_inputs(columns, *found["scaling"].tolist()), _clusters(features, found), _labels(positions, roles)]
    return FittedSegments(PipelineModel(stages), silhouettes, int(found["chosen"]), shoppers)


def segments_of(model: PipelineModel, features: DataFrame) -> DataFrame:
    """(as_of, user_id, segment_id int, segment_name) for every row of `features` (as_of, user_id, feature columns)."""
    return model.transform(features).select("as_of", "user_id", "segment_id", "segment_name")


def profiles(segments: DataFrame, features: DataFrame, columns: Sequence[str]) -> DataFrame:
    """(segment_id, segment_name, size, means of `columns`): a row per segment with shoppers.

    `segments` as from `segments_of`; `features` has as_of, user_id and `columns` in their original units. Nulls do not
    count in a mean; the mean of only nulls is null.
    """
    joined = segments.join(features.select("as_of", "user_id", *columns), on=["as_of", "user_id"], how="inner")
    means = [F.avg(name).alias(name) for name in columns]
    return joined.groupBy("segment_id", "segment_name").agg(F.count(F.lit(1)).alias("size"), *means)


def _inputs(columns: Sequence[str], means: list[float], scales: list[float]) -> list[Transformer]:
    """The stages that turn the columns into vector column FEATURES, standardized."""
    made = [standardized_sql(*known) for known in zip(columns, means, scales, strict=True)]
    names = [f"_scaled_{place}" for place in range(len(made))]
    texts = ", ".join(f"{text} AS {name}" for name, text in zip(names, made, strict=True))
    return [
        SQLTransformer(statement=f"SELECT *, {texts} FROM __THIS__"),
        VectorAssembler(inputCols=names, outputCol=FEATURES),
    ]


def _clusters(features: DataFrame, found: dict[str, Floats]) -> KMeansModel:
    cost, passes = found["outcome"]
    return kmeans_model(
        features,
        found["centres"],
        features=FEATURES,
        prediction=CLUSTER,
        cost=cost,
        passes=int(passes),
    )


def _labels(positions: list[dict[str, float]], roles: SegmentRoles) -> SQLTransformer:
    """The stage that turns KMeans' cluster into segment_id and segment_name, saved with the model."""
    numbers = " ".join(f"WHEN {cluster} THEN {n}" for n, cluster in enumerate(value_order(positions, roles)))
    texts = " ".join(f"WHEN {cluster} THEN '{name}'" for cluster, name in enumerate(named(positions, roles)))
    return SQLTransformer(
        statement=f"SELECT *, CASE {CLUSTER} {numbers} END AS segment_id, CASE {CLUSTER} {texts} END AS segment_name "
        "FROM __THIS__"
    )
