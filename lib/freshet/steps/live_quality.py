"""What fold-in is worth: lists before and after it, judged on the replayed days."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.contracts.shoppers import counts_as_taste, shopper_id
from freshet.evaluation.parameters import EvaluationParameters
from freshet.evaluation.ranking import evaluation_rows, per_user, summary
from freshet.steps.live import LivePlan
from freshet.streaming.slices import slice_number

BEFORE, AFTER = "before_fold_in", "after_fold_in"


def evaluate_live(
    events: DataFrame,
    batch_lists: DataFrame,
    stream_lists: DataFrame,
    newcomers_list: DataFrame,
    *,
    plan: LivePlan,
    target: str,
    evaluation: EvaluationParameters,
    run_id: str,
) -> DataFrame:
    """Rows of `evaluation_results`, task and split `live`: models before_fold_in and after_fold_in, paired.

    Judged are shoppers with `target` events in a slice of the plan for whom the stream had made a list before that
    slice. Before: the list in `batch_lists`, for shoppers without one the single row (items) of `newcomers_list`.
    After: the newest list in `stream_lists` made from what was known before the slice began. A shopper's figure is
    the mean over the shopper's slices; figures and intervals are over shoppers, so that regulars do not outweigh the
    rest. Nobody to judge: no rows.
    """
    slices = target_slices(events, plan, target=target)
    known = F.greatest("event_clock", "caused_by_received_time")
    made = stream_lists.select("user_id", known.alias("known"), "batch_id", "items")
    after = (
        slices.select("slice", "user_id")
        .join(made, on="user_id", how="inner")
        .where(slice_number(F.col("known"), plan.start, plan.slice_length) < F.col("slice"))
        .groupBy("slice", "user_id")
        .agg(F.max_by("items", F.struct("known", "batch_id")).alias("items"))
    )
    judged_pairs = after.select("slice", "user_id")
    own = batch_lists.select("user_id", F.col("items").alias("own_items"))
    before = (
        judged_pairs.join(own, on="user_id", how="left")
        .crossJoin(F.broadcast(newcomers_list.select(F.col("items").alias("common_items"))))
        .select("slice", "user_id", F.coalesce("own_items", "common_items").alias("items"))
    )
    lists = _named(before, BEFORE).unionByName(_named(after, AFTER))
    truth = slices.join(judged_pairs, on=["slice", "user_id"], how="left_semi")
    judged = per_user(lists, truth, ks=evaluation.ks, by=("slice", "model"))
    metrics = [name for name in judged.columns if name not in ("slice", "model", "user_id", "k")]
    per_shopper = judged.groupBy("model", "user_id", "k").agg(*[F.mean(name).alias(name) for name in metrics])
    figures = summary(per_shopper, samples=evaluation.bootstrap_samples, seed=evaluation.seed, by=("model",))
    return evaluation_rows(figures, run_id=run_id, split="live", task="live")


def target_slices(events: DataFrame, plan: LivePlan, *, target: str) -> DataFrame:
    """(slice, user_id, items array<string>): the distinct items of shoppers' `target` events in each slice."""
    happened = F.col("event_time")
    within = (happened >= F.lit(plan.start)) & (happened < F.lit(plan.end)) & (F.col("event_name") == target)
    number = slice_number(happened, plan.start, plan.slice_length)
    return (
        events.where(within & counts_as_taste())
        .select(number.alias("slice"), shopper_id().alias("user_id"), "item_id")
        .groupBy("slice", "user_id")
        .agg(_distinct_items())
    )


def _distinct_items() -> Column:
    return F.array_sort(F.collect_set("item_id")).alias("items")


def _named(lists: DataFrame, model: str) -> DataFrame:
    return lists.select("slice", F.lit(model).alias("model"), "user_id", "items")
