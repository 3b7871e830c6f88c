"""How good lists are: recall, precision, NDCG, MAP and hit rate of each shopper, and figures over all shoppers.

A row of `lists` is a shopper's list, a row of `truth` what the shopper then took. The per-shopper frame is what is
kept and tested; means, intervals and paired differences are computed from it.
"""

import math
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.contracts import EVALUATION_RESULTS
from freshet.errors import InputError
from freshet.evaluation.bootstrap import with_intervals

RANKING_METRICS = ("recall", "precision", "ndcg", "map", "hit")
"""Metrics of the per-shopper frame, each from 0 to 1, higher is better."""


def per_user(lists: DataFrame, truth: DataFrame, *, ks: Sequence[int], by: Sequence[str] = ()) -> DataFrame:
    """(*by, user_id, k, recall, precision, ndcg, map, hit): a row per shopper of `truth` and k; metrics are doubles.

    `lists` is (*by, user_id, items array<struct<position, item_id, ...>>), a row per shopper, in any order of
    entries; `truth` is (user_id, items array<string>). `by` names columns that tell lists of several models or tasks
    apart; those that `truth` has too are joined on, so that each task can have its own truth.

    With T the distinct true items, and hits the entries among the first k that are in T:
    recall = hits / |T|; precision = hits / k; hit = 1 if there is a hit;
    ndcg = sum of 1 / log2(place + 1) over hits, divided by the same sum over places 1..min(k, |T|) (Järvelin and
    Kekäläinen 2002, gain 0 or 1); map = sum of the precision at the place of each hit / min(k, |T|).

    Edges: a shopper without a list, or with an empty or null one, has zeros in every list of `by` that occurs. A
    shopper with empty or null truth is not judged. A list shorter than k is judged as if misses filled it. An item
    that occurs twice counts at its first place only; the second place is a miss. Places are counted along the
    rising position, gaps do not matter. With `by`, `lists` is read twice: persist lists that are dear to make.
    Raises InputError for ks that are empty or below 1.
    """
    _check_ks(ks)
    longest = max(ks)
    shared = [name for name in by if name in truth.columns]
    wanted = truth.select(*shared, "user_id", F.array_compact(F.array_distinct("items")).alias("true_items"))
    wanted = wanted.where(F.size("true_items") > 0)
    models = lists.select(*by).distinct()
    if by:
        wanted = wanted.join(F.broadcast(models), on=shared, how="inner") if shared else wanted.crossJoin(models)
    listed = lists.select(*by, "user_id", _first_items(longest).alias("listed"))
    judged = wanted.join(listed, on=[*by, "user_id"], how="left").select(
        *by, "user_id", F.size("true_items").alias("true_count"), _hit_places().alias("hit_places")
    )
    figures = F.explode(F.array(*[_figures_at(k) for k in sorted(set(ks))])).alias("figures")
    return judged.select(*by, "user_id", figures).select(*by, "user_id", "figures.*")


def _first_items(longest: int) -> Column:
    in_order = F.array_sort(F.transform("items", lambda x: F.struct(x["position"], x["item_id"])))
    return F.transform(F.slice(in_order, 1, longest), lambda x: x["item_id"])


def _hit_places() -> Column:
    """The places of the hits in rising order, from 1; a missing list has none."""
    # array_intersect keeps the order of the first array and each item once.
    hits = F.array_intersect("listed", "true_items")
    places = F.transform(hits, lambda item: F.array_position("listed", item))
    return F.coalesce(places, F.array().cast("array<bigint>"))


def _figures_at(k: int) -> Column:
    """The metrics at k from columns hit_places and true_count."""
    places = F.filter("hit_places", lambda place: place <= k)
    hits = F.size(places)
    discounted = F.transform(places, lambda place: 1.0 / F.log2(place + 1.0))
    precisions = F.transform(places, lambda place, earlier: (earlier + 1.0) / place)
    reachable = F.least(F.lit(k), F.col("true_count"))
    ideal = F.element_at(F.array(*[F.lit(total) for total in _ideal_totals(k)]), reachable)
    return F.struct(
        F.lit(k).alias("k"),
        (hits / F.col("true_count")).alias("recall"),
        (hits / F.lit(k)).alias("precision"),
        (_total(discounted) / ideal).alias("ndcg"),
        (_total(precisions) / reachable).alias("map"),
        F.when(hits > 0, 1.0).otherwise(0.0).alias("hit"),
    )


def _total(values: Column) -> Column:
    return F.aggregate(values, F.lit(0.0), lambda total, value: total + value)


def _ideal_totals(k: int) -> list[float]:
    """The discounted gain of 1, 2, ... k hits in the first places."""
    totals, total = [], 0.0
    for place in range(1, k + 1):
        total += 1.0 / math.log2(place + 1)
        totals.append(total)
    return totals


def coverage(lists: DataFrame, *, k: int, catalogue_size: int, by: Sequence[str] = ()) -> DataFrame:
    """(*by, metric, k, value, low, high, users): the share (0 to 1) of the catalogue in the first k of any list.

    `users` counts the lists, low and high are null. Empty `lists` give 0 without `by` and no row with it. Raises
    InputError for k or a catalogue_size below 1.
    """
    _check_ks([k])
    if catalogue_size < 1:
        raise InputError("there is no catalogue to cover", where="coverage", found=f"catalogue_size {catalogue_size}")
    entries = lists.select(*by, "user_id", F.explode_outer(_first_items(k)).alias("item_id"))
    counted = entries.groupBy(*by).agg(
        F.countDistinct("item_id").alias("covered"), F.countDistinct("user_id").alias("users")
    )
    unknown = F.lit(None).cast("double")
    return counted.select(
        *by,
        F.lit("coverage").alias("metric"),
        F.lit(k).alias("k"),
        (F.col("covered") / F.lit(catalogue_size)).alias("value"),
        unknown.alias("low"),
        unknown.alias("high"),
        "users",
    )


def summary(judged: DataFrame, *, samples: int, seed: int, by: Sequence[str] = ()) -> DataFrame:
    """(*by, metric, k, value, low, high, users): the mean of each metric over shoppers with its 95 % interval.

    `judged` is what `per_user` gives. The interval is a percentile bootstrap over shoppers of `samples` draws; see
    `with_intervals`. Empty input gives an empty frame.
    """
    long = judged.unpivot([*by, "user_id", "k"], list(RANKING_METRICS), "metric", "value")
    return with_intervals(long, by=[*by, "metric", "k"], samples=samples, seed=seed)


def paired_difference(
    a: DataFrame, b: DataFrame, *, metric: str, k: int, samples: int, seed: int, by: Sequence[str] = ()
) -> DataFrame:
    """(*by, metric, k, value, low, high, users): mean of a less b at k over shoppers judged in both, with interval.

    a and b are what `per_user` gives. The interval is that of the difference of each shopper, hence much narrower
    than those of the two means. `by` names further columns of b (as in: task, model); those that a has too are joined
    on, so that one challenger can be set against several others at once. No common shopper: no row. Raises InputError
    for a metric that does not exist.
    """
    if metric not in RANKING_METRICS:
        raise InputError("there is no such metric", where="gate", expected=", ".join(RANKING_METRICS), found=metric)
    shared = [name for name in by if name in a.columns]
    mine = a.where(F.col("k") == k).select(*shared, "user_id", F.col(metric).alias("mine"))
    other = b.where(F.col("k") == k).select(*by, "user_id", F.col(metric).alias("other"))
    differences = mine.join(other, on=[*shared, "user_id"], how="inner").select(
        *by,
        F.lit(metric).alias("metric"),
        F.lit(k).alias("k"),
        "user_id",
        (F.col("mine") - F.col("other")).alias("value"),
    )
    return with_intervals(differences, by=[*by, "metric", "k"], samples=samples, seed=seed)


def evaluation_rows(
    figures: DataFrame, *, run_id: str, split: str, task: str | None = None, model: str | None = None
) -> DataFrame:
    """Rows of `evaluation_results` from (metric, k, value, low, high, users).

    `task` and `model` None mean that `figures` has these columns itself. Raises ContractError where a type differs.
    """
    named = figures.withColumns({"run_id": F.lit(run_id), "split": F.lit(split)})
    for name, value in (("task", task), ("model", model)):
        if value is not None:
            named = named.withColumn(name, F.lit(value))
    return EVALUATION_RESULTS.conform(named.withColumn("users", F.col("users").cast("long")))


def _check_ks(ks: Sequence[int]) -> None:
    if not ks or min(ks) < 1:
        raise InputError("lists are judged at k of 1 or more", where="evaluation", found=f"ks {list(ks)}")
