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
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
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

_LISTS = pa.schema(
    [
        *((name, pa.string()) for name in ("task", "model", "user_id")),
        ("items", pa.list_(pa.struct([("position", pa.int32()), ("item_id", pa.string()), ("score", pa.float64())]))),
    ]
)

_TIE = 1e-9
"""Weight of popularity in every score: it orders equal scores and fills lists that would be too short."""

_JUDGED, _KNOWN = "judged:", "known::"
"""Prefixes of equal length that tell shoppers with interactions of their own from those to learn from, who may have
the same ids."""


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
    own: DataFrame | None = None,
) -> DataFrame:
    """(task, model, user_id, items array<struct<position, item_id, score>>): a list per task, baseline and shopper.

    `interactions` holds (user_id, item_id, and a double column >= 0 per strength), a row per pair; null counts as 0
    and repeated pairs add up. `users` (user_id) are the shoppers who get lists; one without interactions gets the
    most popular items. `own`, of the form of `interactions`, holds what these shoppers had if it differs from what
    others learn from: popularity and neighbours come from `interactions` alone. `model` is the baseline's name,
    `position` counts from 1. Candidates are all items; for the task new_items without those that the shopper has a row
    of. Lists have k entries, or as many as there are candidates.

    Scores: popularity: shoppers with a strength above 0; frequency: the own strength; item_knn: over the item and
    its nearest items the sum of similarity times own strength; user_knn: over the shopper and the nearest shoppers the
    sum of similarity times their strength. To each is added 1e-9 times the item's popularity by column `fill` as a
    share of the highest. Equal scores are ordered by item_id. Raises InputError for an unknown family or strength.
    """
    strengths = sorted({baseline.strength for baseline in baselines} | {fill})
    _check(interactions.columns, baselines, strengths, k)

    shares = _shares(baselines)

    def made(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        first = next(batches, None)
        if first is None:
            return
        share = shares[first.column("share")[0].as_py()]
        matrices = strength_matrices(itertools.chain([first], batches), sorted({b.strength for b in share} | {fill}))
        yield from list_batches(matrices, share, k=k, near_items=near_items, near_users=near_users, fill=fill)

    key = known_key = F.col("user_id")
    if own is not None:
        key, known_key = (F.concat(F.lit(kind), "user_id").alias("user_id") for kind in (_JUDGED, _KNOWN))
    known = _rows(interactions, strengths, known_key)
    nothing = [F.lit(0.0).alias(name) for name in strengths]
    shoppers = users.select("user_id").distinct().select("*", F.lit(None).cast("string").alias("item_id"), *nothing)
    wanted = _rows(shoppers, strengths, key, is_wanted=True, is_evidence=own is None)
    if own is not None:
        mine = own.join(shoppers.select("user_id"), "user_id", how="left_semi")
        wanted = wanted.unionByName(_rows(mine, strengths, key, is_evidence=False))
    # A task needs all pairs at once. Partitioned by number, not by hash: each share has a task of its own.
    numbers = F.array(*[F.lit(number) for number in range(len(shares))])
    shared = known.unionByName(wanted).withColumn("share", F.explode(numbers))
    lists = shared.repartitionById(len(shares), F.col("share")).mapInArrow(made, LISTS_SCHEMA)
    return lists if own is None else lists.withColumn("user_id", F.expr(f"substring(user_id, {len(_JUDGED) + 1})"))


def baseline_lists_in_process(
    interactions: pa.Table,
    users: pa.Array,
    *,
    baselines: Sequence[Baseline],
    k: int,
    near_items: kernels.Nearness,
    near_users: kernels.Nearness,
    fill: str,
    own: pa.Table | None = None,
) -> pa.Table:
    """`baseline_lists` of data that are in the memory of this process, without Spark; strengths are never null."""
    strengths = sorted({baseline.strength for baseline in baselines} | {fill})
    _check(interactions.column_names, baselines, strengths, k)
    kinds = ("", "") if own is None else (_JUDGED, _KNOWN)
    nobody = pa.table({"user_id": users, "item_id": pa.nulls(len(users), pa.string())})
    for name in strengths:
        nobody = nobody.append_column(name, pa.array(np.zeros(len(users))))
    parts = [
        _local_rows(interactions, strengths, kinds[1], is_wanted=False, is_evidence=True),
        _local_rows(nobody, strengths, kinds[0], is_wanted=True, is_evidence=own is None),
    ]
    if own is not None:
        mine = own.filter(pc.is_in(own.column("user_id"), value_set=users))
        parts.append(_local_rows(mine, strengths, kinds[0], is_wanted=False, is_evidence=False))
    matrices = strength_matrices(iter(pa.concat_tables(parts).to_batches()), strengths)
    made = list_batches(matrices, baselines, k=k, near_items=near_items, near_users=near_users, fill=fill)
    lists = pa.Table.from_batches(made, _LISTS)
    known = pc.utf8_slice_codeunits(lists.column("user_id"), len(kinds[0]))
    return lists.set_column(lists.column_names.index("user_id"), "user_id", known)


def _local_rows(pairs: pa.Table, strengths: list[str], prefix: str, *, is_wanted: bool, is_evidence: bool) -> pa.Table:
    """Rows for `strength_matrices`."""
    key = pc.binary_join_element_wise(prefix, pairs.column("user_id"), "")
    flags = {name: pa.repeat(value, pairs.num_rows) for name, value in
             (("is_wanted", is_wanted), ("is_evidence", is_evidence))}  # fmt: skip
    return pa.table(
        {"user_id": key, "item_id": pairs.column("item_id"), **flags, **{name: pairs[name] for name in strengths}}
    )


def _rows(
    pairs: DataFrame, strengths: list[str], key: Column, *, is_wanted: bool = False, is_evidence: bool = True
) -> DataFrame:
    """Rows for `strength_matrices`."""
    flags = [F.lit(is_wanted).alias("is_wanted"), F.lit(is_evidence).alias("is_evidence")]
    columns = [F.coalesce(F.col(name).cast("double"), F.lit(0.0)).alias(name) for name in strengths]
    return pairs.select(key, "item_id", *flags, *columns)


def list_batches(
    matrices: StrengthMatrices,
    baselines: Sequence[Baseline],
    *,
    k: int,
    near_items: kernels.Nearness,
    near_users: kernels.Nearness,
    fill: str,
) -> Iterator[pa.RecordBatch]:
    """The lists of `baseline_lists` from matrices in memory, as batches of LISTS_SCHEMA."""
    if not len(matrices.wanted):
        return
    for baseline, block, best in _best_blocks(matrices, baselines, fill, k, near_items, near_users):
        for task, found in best.items():
            yield _lists(matrices, block, found, task, baseline.name)


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


def _check(columns: Sequence[str], baselines: Sequence[Baseline], strengths: list[str], k: int) -> None:
    problems = [f"{name} is not a strength of the interactions" for name in strengths if name not in columns]
    problems += [f"{b.family} is not a baseline" for b in baselines if b.family not in FAMILIES]
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
    bonus = _bonus(matrices.evidence(fill))
    filled = kernels.Fill.of(bonus)
    for strength in sorted({baseline.strength for baseline in baselines}):
        matrix, evidence = matrices.by_name[strength], matrices.evidence(strength)
        families = tuple(b.family for b in baselines if b.strength == strength)
        near_items = _near_items(families, matrix, evidence, matrices.wanted, for_items)
        near_users = _nearest(USER_KNN, families, matrix, matrices.wanted, for_users, matrices.is_evidence)
        for family in dict.fromkeys(families):
            for block in kernels.blocks(len(matrices.wanted), 2 * k):
                shoppers = matrices.wanted[block]
                own, owned = matrix[shoppers], matrices.pairs[shoppers]
                if family == POPULARITY:
                    popular = kernels.Fill.of(_popularity(evidence) + bonus)
                    best = kernels.best(csr_matrix(own.shape), csr_matrix((own.shape[1],) * 2), popular, owned, k)
                elif family == FREQUENCY:
                    best = kernels.best(own, identity(own.shape[1], format="csr"), filled, owned, k)
                elif family in near_items:
                    best = kernels.best(own, near_items[family], filled, owned, k)
                else:
                    best = kernels.best(near_users[family][block], matrix, filled, owned, k)
                yield Baseline(family, strength), block, dict(zip((NEXT_BASKETS, NEW_ITEMS), best, strict=True))


def _near_items(
    families: Sequence[str],
    matrix: csr_matrix,
    evidence: csr_matrix,
    wanted: NDArray[np.int64],
    nearness: kernels.Nearness,
) -> dict[str, csr_matrix]:
    """By family, [items, items]: the weight of each item for the items that the wanted shoppers can reach."""
    if not any(family.startswith(ITEM_KNN) for family in families):
        return {}
    targets = kernels.reachable(matrix, wanted)
    found = _nearest(ITEM_KNN, families, evidence.T.tocsr(), targets, nearness)
    return {family: kernels.by_neighbour(near, targets) for family, near in found.items()}


def _nearest(
    kind: str,
    families: Sequence[str],
    vectors: csr_matrix,
    wanted: NDArray[np.int64],
    nearness: kernels.Nearness,
    is_neighbour: NDArray[np.bool_] | None = None,
) -> dict[str, csr_matrix]:
    """Neighbours by family, for the families of this kind; their dot products are computed once."""
    similarities = tuple(s for s in (kernels.COSINE, kernels.PEARSON) if f"{kind}_{s}" in families)
    if not similarities:
        return {}
    found = kernels.nearest(vectors, wanted, similarities=similarities, nearness=nearness, is_neighbour=is_neighbour)
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
