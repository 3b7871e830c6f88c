"""Lists and ground truth of both tasks, for the same evaluation of served lists and plain baselines.

Cases are collected to the driver to be judged: at most `max_users` shoppers, some 2 kB for each model and task.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial, reduce
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts.policies import NEXT_BASKETS, POLICIES
from freshet.contracts.shoppers import counts_as_taste, order_id, shopper_id
from freshet.evaluation.baseline_strengths import baseline_strengths, window_name
from freshet.evaluation.baselines import LISTS_SCHEMA, Baseline, baseline_lists
from freshet.evaluation.bootstrap import user_hash
from freshet.evaluation.kernels import Nearness
from freshet.evaluation.parameters import EvaluationParameters
from freshet.evaluation.protocols import TIME_SPLIT
from freshet.evaluation.stacked_lists import stacked_lists
from freshet.pipeline.recommender.recommender_fits import had_items, sample_of_shoppers
from freshet.ranking.artifact import Artifact
from freshet.ranking.lists.shopper_lists import recommended
from freshet.ranking.placements.parameters import PlacementParameters
from freshet.ranking.placements.registry import PLACEMENTS

SERVED = "served"

PLACEMENT = "placement"
"""With the name of a placement: its lists."""

CHALLENGER, CHAMPION = "challenger", "champion"
"""The lists that the gate compares."""

WITH_RULES = "served_with_rules"
"""The served lists under the rules in force: the difference from SERVED is what rules cost."""


def truths(cases: DataFrame, *, target: str, seed: int) -> pa.Table:
    """(task, user_id, user_hash, items): the ground truth; for new_items without the shopper's earlier items.

    `cases` is (user_id, history, truth); `seed` is that of the resamples.
    """
    fresh = F.array_except("truth", had_items(target))
    both = cases.select("user_id", user_hash(seed).alias("user_hash"), "truth", fresh.alias("fresh")).toArrow()
    columns = {"next_baskets": "truth", "new_items": "fresh"}
    return stacked_lists(both, keep=["user_id", "user_hash"], name="task", columns=columns)


def collected(*lists: DataFrame) -> pa.Table:
    """(task, model, user_id, items list<string>): the items of all these lists, best first, computed in one job."""
    items = [one.select("task", "model", "user_id", F.col("items.item_id").alias("items")) for one in lists]
    return reduce(DataFrame.unionByName, items).toArrow()


def served_lists(
    cases: DataFrame, *, artifact: Path, clock: datetime, length: int, model: str, rules: Path | None = None
) -> DataFrame:
    """(task, model, user_id, items): the lists that the artifact makes under each policy, with saved rules."""
    histories = cases.select("user_id", "history")
    parts = [
        recommended(histories, artifact=artifact, clock=clock, length=length, policy=policy, rules=rules).select(
            F.lit(policy).alias("task"), F.lit(model).alias("model"), "user_id", "items"
        )
        for policy in POLICIES
    ]
    return reduce(DataFrame.unionByName, parts)


def placement_lists(
    cases: DataFrame, *, artifact: Path, clock: datetime, params: PlacementParameters
) -> list[DataFrame]:
    """(task, model, user_id, items) of the served placements, each under the task that judges it. A shopper whose page
    does not have a placement has no row of it."""
    if not params.served:
        return []
    page = recommended(
        cases.select("user_id", "history"), artifact=artifact, clock=clock, length=1, policy=NEXT_BASKETS,
        placements=params,
    )  # fmt: skip
    each = page.select("user_id", F.explode("placements").alias("placed"))
    tasks = F.create_map(*[F.lit(text) for name in params.served for text in (name, PLACEMENTS[name].task)])
    name = F.col("placed.placement")
    task, model = tasks[name].alias("task"), F.concat(F.lit(f"{PLACEMENT}/"), name).alias("model")
    return [each.select(task, model, "user_id", "placed.items")]


def validation_lists(cases: DataFrame, *, artifact: Path, clock: datetime, length: int, model: str) -> list[DataFrame]:
    """`served_lists` of an artifact whose rankers were fitted on these cases: each shopper's list by the trees that
    have not seen the shopper, in parts. Writes an artifact for each fold next to the given one."""
    whole = Artifact.load(artifact)
    folds = max((len(ranker.folds) for ranker in whole.recipe.rankers.values()), default=0)
    if not folds:
        return [served_lists(cases, artifact=artifact, clock=clock, length=length, model=model)]
    found = []
    for fold in range(folds):
        rankers = {policy: ranker.without_fold(fold) for policy, ranker in whole.recipe.rankers.items()}
        folder = artifact.with_name(f"{artifact.name}_fold_{fold}")
        replace(whole, recipe=replace(whole.recipe, rankers=rankers)).save(folder, like=artifact)
        mine = cases.where(F.pmod(F.crc32(F.encode("user_id", "UTF-8")), F.lit(folds)) == fold)
        found.append(served_lists(mine, artifact=folder, clock=clock, length=length, model=model))
    return found


def taken_items(known: DataFrame, *, target: str, at_most: int) -> DataFrame:
    """(user_id, item_id): the distinct pairs of `target` events, of about `at_most` shoppers chosen by a hash."""
    taken = known.where(counts_as_taste() & (F.col("event_name") == target))
    pairs = taken.select(shopper_id().alias("user_id"), "item_id").dropna().distinct()
    chosen = sample_of_shoppers(pairs.select("user_id").distinct(), at_most)
    return pairs.join(chosen, "user_id", how="left_semi")


def _own_orders(cases: DataFrame, target: str) -> DataFrame:
    """(user_id, item_id, order_id, event_time): the target events in the histories of the cases."""
    entries = cases.select("user_id", F.explode("history").alias("entry")).where(F.col("entry.event_name") == target)
    return entries.select("user_id", "entry.item_id", "entry.order_id", "entry.event_time")


def plain_lists(
    known: DataFrame,
    cases: DataFrame,
    *,
    protocol: str,
    baselines: Sequence[Baseline],
    as_of: datetime,
    target: str,
    length: int,
    params: EvaluationParameters,
) -> DataFrame:
    """(task, model, user_id, items): the lists of the baselines, from target events known before `as_of`.

    Where last baskets are judged, the strengths of the judged shoppers are those of their histories in `cases`, which
    go on after `as_of`; for all others only what was known then counts, as for a model. Without cases the result is
    empty and no events are read.
    """
    if cases.isEmpty():
        return cases.sparkSession.createDataFrame([], LISTS_SCHEMA)
    orders = known.where(counts_as_taste() & (F.col("event_name") == target)).select(
        shopper_id().alias("user_id"), "item_id", order_id().alias("order_id"), "event_time"
    )
    strengths = partial(
        baseline_strengths,
        as_of=as_of,
        half_lives_days=params.baseline_half_lives_days,
        windows_days=sorted({*params.baseline_windows_days, params.fill_window_days}),
    )
    return baseline_lists(
        strengths(orders),
        cases,
        own=strengths(_own_orders(cases, target)) if protocol != TIME_SPLIT else None,
        baselines=baselines,
        k=length,
        near_items=Nearness(params.item_neighbours, params.item_shrinkage, params.item_asymmetry),
        near_users=Nearness(params.user_neighbours, params.user_shrinkage, 1.0),
        fill=window_name(params.fill_window_days),
    )
