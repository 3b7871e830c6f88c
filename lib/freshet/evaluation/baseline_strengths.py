"""Strengths for plain baselines, under several decays and windows, and the choice among them."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.evaluation.baselines import FAMILIES, FREQUENCY, POPULARITY, Baseline

_DAY_SECONDS = 86_400


def half_life_name(days: float) -> str:
    """The strength column of a half-life in days, as in hl_180d; 0 means no decay: all."""
    return f"hl_{days:g}d" if days else "all"


def newest_name(days: float) -> str:
    """The strength column of the newest order's decay, as in newest_30d; 0 means no decay: any."""
    return f"newest_{days:g}d" if days else "any"


def window_name(days: int) -> str:
    """The strength column of a window in days, as in last_30d."""
    return f"last_{days}d"


def baseline_strengths(
    orders: DataFrame, *, as_of: datetime, half_lives_days: Iterable[float], windows_days: Iterable[int]
) -> DataFrame:
    """(user_id, item_id, all, any, hl_<d>d, newest_<d>d ..., last_<d>d ...): a row per shopper and item, double >= 0.

    `orders` holds (user_id, item_id, order_id, event_time); lines of one order count once, at its newest time. `all`
    counts orders; hl_<d>d sums 0.5^(age / d) over them, with the age in days before `as_of`; newest_<d>d is
    0.5^(age / d) of the newest alone, and `any` is 1; last_<d>d counts orders at most d days old. Orders at or after
    `as_of` and rows with a null are left out.
    """
    known = orders.where(F.col("event_time") < F.lit(as_of)).dropna(subset=["user_id", "item_id", "order_id"])
    single = known.groupBy("user_id", "item_id", "order_id").agg(F.max("event_time").alias("time"))
    age = (F.unix_micros(F.lit(as_of)) - F.unix_micros("time")) / (_DAY_SECONDS * 1e6)
    sums: dict[str, Column] = {"all": F.count("order_id").cast("double"), "any": F.lit(1.0)}
    for half_life in half_lives_days:
        if half_life:
            decay = F.pow(F.lit(0.5), F.col("age") / F.lit(half_life))
            sums[half_life_name(half_life)] = F.sum(decay)
            sums[newest_name(half_life)] = F.max(decay)
    for days in windows_days:
        sums[window_name(days)] = F.count_if(F.col("age") <= F.lit(days)).cast("double")
    named = [value.alias(name) for name, value in sums.items()]
    return single.withColumn("age", age).groupBy("user_id", "item_id").agg(*named)


def baseline_candidates(*, half_lives_days: Iterable[float], windows_days: Iterable[int]) -> tuple[Baseline, ...]:
    """Every family with every strength that suits it.

    Popularity of all time and by window; frequency with decayed counts; neighbours with the decay of the newest order,
    because with counts a shopper's few staples outweigh everything else that two shoppers or items share.
    """
    half_lives = list(dict.fromkeys(half_lives_days))
    windows = ["all", *dict.fromkeys(window_name(days) for days in windows_days)]
    popular = [Baseline(POPULARITY, window) for window in windows]
    frequent = [Baseline(FREQUENCY, half_life_name(days)) for days in half_lives]
    near = [family for family in FAMILIES if family not in (POPULARITY, FREQUENCY)]
    return (*popular, *frequent, *[Baseline(family, newest_name(days)) for family in near for days in half_lives])


def best_of_families(figures: Mapping[str, float]) -> tuple[Baseline, ...]:
    """The member of each family with the highest figure, by baseline name as in frequency/hl_180d; ties by name.

    Popularity of all time is kept next to the best window, as it is the customary baseline. Names that are not those of
    baselines are ignored, so figures of other models may be included.
    """
    best: dict[str, tuple[float, str]] = {}
    for name in sorted(figures):
        family, _, strength = name.partition("/")
        slot = name if name == f"{POPULARITY}/all" else family
        if family in FAMILIES and strength and (slot not in best or figures[name] > best[slot][0]):
            best[slot] = (figures[name], name)
    chosen = [name.partition("/") for _, name in best.values()]
    return tuple(Baseline(family, strength) for family, _, strength in chosen)
