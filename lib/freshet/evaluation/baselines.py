"""Plain baselines, which a served list must beat.

Popularity, personal frequency, and neighbours of items and of shoppers by cosine or Pearson correlation, each on one
of several strengths per shopper and item (no decay, a half-life, a recent window). All lists come from two Spark
tasks that each hold all pairs and divide the strengths between them: exact sparse kernels, no approximation. The time
is proportional to the pairs of rows that share a column, for the shoppers who get lists and the items that they can
reach.

Memory of each: 8 bytes and 8 per strength for each shopper-item pair while reading, then 12 bytes per pair and
strength as matrices (100 million pairs with 4 strengths: about 9 GB; 1 million: 90 MB), 24 bytes per neighbour that is
kept, and 100 MB.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix, identity

from freshet.contracts.operations import TASKS
from freshet.core.errors import InputError, listed
from freshet.evaluation import kernels
from freshet.evaluation.strength_matrix import StrengthMatrices, strength_matrices
from freshet.numeric.top_k import Found

NEXT_BASKETS, NEW_ITEMS = TASKS[:2]

POPULARITY, FREQUENCY, ITEM_KNN, USER_KNN = "popularity", "frequency", "item_knn", "user_knn"

FAMILIES = (
    POPULARITY,
    FREQUENCY,
    *[f"{kind}_{similarity}" for kind in (ITEM_KNN, USER_KNN) for similarity in (kernels.COSINE, kernels.PEARSON)],
)
"""The plain baselines; members of a family differ in the strengths they use, that is in their time decay."""

LISTS_SCHEMA = (
    "task string, model string, user_id string, items array<struct<position:int,item_id:string,score:double>>"
)

_TIE = 1e-9
"""Weight of popularity in every score: it orders equal scores and fills lists that would be too short."""


@dataclass(frozen=True)
class Baseline:
    """A member of a family of FAMILIES that uses the strengths in column `strength`."""

    family: str
    strength: str

    @property
    def name(self) -> str:
        """As in item_knn_cosine/hl_30d."""
        return f"{self.family}/{self.strength}"


def baseline_lists(
    interactions: DataFrame,
    users: DataFrame,
    *,
    baselines: Sequence[Baseline],
    k: int,
    near_items: kernels.Nearness,
    near_users: kernels.Nearness,
    fill: str,
    tasks: Sequence[str] = (NEXT_BASKETS, NEW_ITEMS),
) -> DataFrame:
    """(task, model, user_id, items array<struct<position, item_id, score>>): a list per task, baseline and shopper.

    `interactions` holds (user_id, item_id, and a double column >= 0 per strength), a row per pair; null counts as 0
    and repeated pairs add up. `users` (user_id) are the shoppers who get lists; one without interactions gets the
    most popular items. `model` is the baseline's name, `position` counts from 1. Candidates are all items of
    `interactions`; for the task new_items without those that the shopper has a row of. Lists have k entries, or as
    many as there are candidates.

    Scores: popularity: shoppers with a strength above 0; frequency: the own strength; item_knn: over the item and
    its nearest items the sum of similarity times own strength; user_knn: over the shopper and the nearest shoppers the
    sum of similarity times their strength. To each is added 1e-9 times the item's popularity by column `fill` as a
    share of the highest. Equal scores are ordered by item_id. Raises InputError for an unknown family, strength or
    task.
    """
    strengths = sorted({baseline.strength for baseline in baselines} | {fill})
    _check(interactions, baselines, strengths, tasks, k)

    shares = _shares(baselines)

    def made(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        first = next(batches, None)
        if first is None:
            return
        own = shares[first.column("share")[0].as_py()]
        matrices = strength_matrices(itertools.chain([first], batches), sorted({b.strength for b in own} | {fill}))
        yield from list_batches(
            matrices, own, k=k, near_items=near_items, near_users=near_users, fill=fill, tasks=tasks
        )

    columns = [F.coalesce(F.col(name).cast("double"), F.lit(0.0)).alias(name) for name in strengths]
    known = interactions.select("user_id", "item_id", F.lit(False).alias("is_wanted"), *columns)
    no_item = F.lit(None).cast("string").alias("item_id")
    nothing = [F.lit(0.0).alias(name) for name in strengths]
    wanted = users.select("user_id").distinct().select("user_id", no_item, F.lit(True).alias("is_wanted"), *nothing)
    # A task needs all pairs at once. Partitioned by number, not by hash: each share has a task of its own.
    numbers = F.array(*[F.lit(number) for number in range(len(shares))])
    shared = known.unionByName(wanted).withColumn("share", F.explode(numbers))
    return shared.repartitionById(len(shares), F.col("share")).mapInArrow(made, LISTS_SCHEMA)


def list_batches(
    matrices: StrengthMatrices,
    baselines: Sequence[Baseline],
    *,
    k: int,
    near_items: kernels.Nearness,
    near_users: kernels.Nearness,
    fill: str,
    tasks: Sequence[str],
) -> Iterator[pa.RecordBatch]:
    """The lists of `baseline_lists` from matrices in memory, as batches of LISTS_SCHEMA."""
    if not len(matrices.wanted):
        return
    for baseline, block, best in _best_blocks(matrices, baselines, fill, k, near_items, near_users):
        for task in tasks:
            yield _lists(matrices, block, best[task], task, baseline.name)


def _shares(baselines: Sequence[Baseline]) -> list[list[Baseline]]:
    """The baselines in at most two parts of similar cost; those of one strength share products and stay together."""
    by_strength: dict[str, list[Baseline]] = {}
    for baseline in baselines:
        by_strength.setdefault(baseline.strength, []).append(baseline)
    shares: list[list[Baseline]] = [[], []]
    # Neighbours take most of the time.
    costs = [0, 0]
    for group in sorted(by_strength.values(), key=lambda group: -_cost(group)):
        cheaper = costs.index(min(costs))
        shares[cheaper] += group
        costs[cheaper] += _cost(group)
    return [share for share in shares if share]


def _cost(group: Sequence[Baseline]) -> int:
    return sum(1 if baseline.family in (POPULARITY, FREQUENCY) else 5 for baseline in group)


def _check(
    interactions: DataFrame, baselines: Sequence[Baseline], strengths: list[str], tasks: Sequence[str], k: int
) -> None:
    problems = [
        f"{name} is not a strength of the interactions" for name in strengths if name not in interactions.columns
    ]
    problems += [f"{b.family} is not a baseline" for b in baselines if b.family not in FAMILIES]
    problems += [f"{task} is not a task" for task in tasks if task not in (NEXT_BASKETS, NEW_ITEMS)]
    if k < 1:
        problems.append(f"k must be 1 or more, is {k}")
    if problems:
        raise InputError(listed(problems), where="baselines", expected=f"baselines of {', '.join(FAMILIES)}")


def _best_blocks(
    matrices: StrengthMatrices,
    baselines: Sequence[Baseline],
    fill: str,
    k: int,
    for_items: kernels.Nearness,
    for_users: kernels.Nearness,
) -> Iterator[tuple[Baseline, slice, dict[str, Found[np.float64]]]]:
    """Per baseline and block of wanted shoppers, the best columns and scores by task."""
    bonus = _bonus(matrices.by_name[fill])
    filled = kernels.Fill.of(bonus)
    for strength in sorted({baseline.strength for baseline in baselines}):
        matrix = matrices.by_name[strength]
        families = tuple(b.family for b in baselines if b.strength == strength)
        near_items = _near_items(families, matrix, matrices.wanted, for_items)
        near_users = _nearest(USER_KNN, families, matrix, matrices.wanted, for_users)
        for family in dict.fromkeys(families):
            for block in kernels.blocks(len(matrices.wanted), 2 * k):
                shoppers = matrices.wanted[block]
                own, owned = matrix[shoppers], matrices.pairs[shoppers]
                if family == POPULARITY:
                    popular = kernels.Fill.of(_popularity(matrix) + bonus)
                    best = kernels.best(csr_matrix(own.shape), csr_matrix((own.shape[1],) * 2), popular, owned, k)
                elif family == FREQUENCY:
                    best = kernels.best(own, identity(own.shape[1], format="csr"), filled, owned, k)
                elif family in near_items:
                    best = kernels.best(own, near_items[family], filled, owned, k)
                else:
                    best = kernels.best(near_users[family][block], matrix, filled, owned, k)
                yield Baseline(family, strength), block, dict(zip((NEXT_BASKETS, NEW_ITEMS), best, strict=True))


def _near_items(
    families: Sequence[str], matrix: csr_matrix, wanted: NDArray[np.int64], nearness: kernels.Nearness
) -> dict[str, csr_matrix]:
    """By family, [items, items]: the weight of each item for the items that the wanted shoppers can reach."""
    if not any(family.startswith(ITEM_KNN) for family in families):
        return {}
    targets = kernels.reachable(matrix, wanted)
    found = _nearest(ITEM_KNN, families, matrix.T.tocsr(), targets, nearness)
    return {family: kernels.by_neighbour(near, targets) for family, near in found.items()}


def _nearest(
    kind: str,
    families: Sequence[str],
    vectors: csr_matrix,
    wanted: NDArray[np.int64],
    nearness: kernels.Nearness,
) -> dict[str, csr_matrix]:
    """Neighbours by family, for the families of this kind; their dot products are computed once."""
    similarities = tuple(s for s in (kernels.COSINE, kernels.PEARSON) if f"{kind}_{s}" in families)
    if not similarities:
        return {}
    found = kernels.nearest(vectors, wanted, similarities=similarities, nearness=nearness)
    return {f"{kind}_{similarity}": matrix for similarity, matrix in found.items()}


def _popularity(matrix: csr_matrix) -> NDArray[np.float64]:
    """[items]: shoppers with a strength above 0."""
    return np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)


def _bonus(matrix: csr_matrix) -> NDArray[np.float64]:
    """[items]: the part of popularity in every score."""
    popularity = _popularity(matrix)
    return np.asarray(_TIE * popularity / max(popularity.max(initial=0.0), 1.0))


def _lists(matrices: StrengthMatrices, block: slice, best: Found[np.float64], task: str, model: str) -> pa.RecordBatch:
    shoppers = matrices.wanted[block]
    columns, values = best
    listed_ = values > -np.inf
    lengths = listed_.sum(axis=1)
    positions = np.broadcast_to(np.arange(1, columns.shape[1] + 1, dtype=np.int32), columns.shape)
    items = matrices.items.take(pa.array(columns[listed_]))
    entries = pa.StructArray.from_arrays(
        [pa.array(positions[listed_]), items, pa.array(values[listed_])], ["position", "item_id", "score"]
    )
    starts = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    same = [pa.array([text] * len(shoppers), pa.string()) for text in (task, model)]
    lists = [*same, matrices.users.take(pa.array(shoppers)), pa.ListArray.from_arrays(starts, entries)]
    return pa.RecordBatch.from_arrays(lists, ["task", "model", "user_id", "items"])
