"""Step replay: replays the live days and measures the benefit of fold-in on them."""

import dataclasses
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.contracts import EVALUATION_RESULTS, RECOMMENDATION_UPDATES, RECOMMENDATIONS, STREAM_METRICS
from freshet.contracts.shoppers import counts_as_taste, shopper_id
from freshet.core.errors import DataTooSmallError, StateError
from freshet.evaluation.bootstrap import user_hash
from freshet.evaluation.parameters import EvaluationParameters
from freshet.evaluation.ranking import RANKING_METRICS, Figures, evaluation_rows, per_user, summary
from freshet.evaluation.stacked_lists import stacked_lists
from freshet.pipeline.recommender.recommender_fits import events_until, sample_of_shoppers
from freshet.ranking.histories.packed_histories import EMPTY
from freshet.ranking.lists.shopper_lists import recommended_in_process
from freshet.runs.job import Job
from freshet.runs.merchandising import rules_in_force
from freshet.runs.registered_models import RECOMMENDER, champion, champion_facts
from freshet.runs.steps import BUILD, RECOMMEND
from freshet.service.lists.list_making import ServedModel, in_process_scorer
from freshet.service.lists.live_replay import QUERY_PREFIX, LivePlan, replay_live
from freshet.service.lists.slices import slice_number
from freshet.tables.lookups.figures import rows_where
from freshet.tables.small_writes import replace_rows

BEFORE, AFTER = "before_fold_in", "after_fold_in"


def evaluate_live(
    events: DataFrame,
    batch_lists: DataFrame,
    stream_lists: DataFrame,
    newcomers_list: list[str],
    *,
    plan: LivePlan,
    target: str,
    evaluation: EvaluationParameters,
    run_id: str,
) -> Figures:
    """Rows of `evaluation_results`, task and split `live`: models before_fold_in and after_fold_in, paired.

    Judges shoppers with `target` events in a slice of the plan for whom the stream had made a list before that slice;
    about `max_users` of them, chosen by a hash of the id, since they are collected to the driver. Before: the list in
    `batch_lists`, or the items of `newcomers_list` for shoppers without one. After: the newest list in `stream_lists`
    made from what was known before the slice started. A shopper's value is the mean over the shopper's slices; metrics
    and intervals are over shoppers, so that frequent shoppers do not outweigh the rest. Without shoppers to judge there
    are no rows.
    """
    known = F.greatest("event_clock", "caused_by_received_time")
    updates = stream_lists.select("user_id", known.alias("known"), "batch_id", F.col("items.item_id").alias("after"))
    cases = (
        target_slices(events, plan, target=target)
        .join(updates, on="user_id", how="inner")
        .where(slice_number(F.col("known"), plan.start, plan.slice_length) < F.col("slice"))
        .groupBy("slice", "user_id", "items")
        .agg(F.max_by("after", F.struct("known", "batch_id")).alias("after"))
        .persist()
    )
    try:
        shoppers = cases.select("user_id").distinct()
        chosen = cases.join(sample_of_shoppers(shoppers, evaluation.max_users), on="user_id", how="left_semi")
        own = batch_lists.select("user_id", F.col("items.item_id").alias("before"))
        common = F.array(*[F.lit(item) for item in newcomers_list]).cast("array<string>")
        listed = (
            chosen.join(own, on="user_id", how="left")
            .select(
                F.col("slice").cast("string").alias("slice"), "user_id", "items", "after",
                user_hash(evaluation.seed).alias("user_hash"), F.coalesce("before", common).alias("before"),
            )
            .toArrow()
        )  # fmt: skip
    finally:
        cases.unpersist()
    figures = summary(_per_shopper(listed, evaluation), samples=evaluation.bootstrap_samples, by=("model",))
    return evaluation_rows(figures, run_id=run_id, split="live", task="live")


def _per_shopper(listed: pa.Table, evaluation: EvaluationParameters) -> pa.Table:
    """(model, user_id, user_hash, k, metrics): means over slices, from (slice, user_id, ..., before, after)."""
    columns = {BEFORE: "before", AFTER: "after"}
    lists = stacked_lists(listed, keep=["slice", "user_id"], name="model", columns=columns)
    truth = listed.select(["slice", "user_id", "user_hash", "items"])
    judged = per_user(lists, truth, ks=evaluation.ks, by=("slice", "model"))
    keys = ["model", "user_id", "user_hash", "k"]
    means = judged.group_by(keys).aggregate([(metric, "mean") for metric in RANKING_METRICS])
    return means.rename_columns([name.removesuffix("_mean") for name in means.column_names])


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


def inputs(job: Job) -> dict[str, Any]:
    """The windows, the champion and its policy."""
    policy = job.record(RECOMMEND).get("policy")
    return {"windows": job.record(BUILD)["windows"], RECOMMENDER: champion_facts(job, RECOMMENDER), "policy": policy}


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Replays the live days and judges the lists; records the figures of the replay."""
    windows, version = job.windows(), champion(job, RECOMMENDER)
    if version is None:
        raise DataTooSmallError("no recommender serves, so there are no lists to keep fresh")
    if not windows.has_live_part:
        raise DataTooSmallError("live_days is 0, so there are no days to replay")
    of_service = ~pc.starts_with(pc.field("query_id"), QUERY_PREFIX)
    if any(rows_where(job.warehouse, table, of_service) for table in (RECOMMENDATION_UPDATES, STREAM_METRICS)):
        raise DataTooSmallError("this home has lists or figures of a service, which a replay would remove")
    policy, length = job.record(RECOMMEND).get("policy"), job.settings.lists.length
    if policy is None:
        raise StateError(
            "the lists that the replay starts from were not made yet: no recommender served at that time",
            where=str(job.home.root), do="Run `freshet recommend` first",
        )  # fmt: skip
    plan = LivePlan(
        fingerprint=fingerprint,
        start=windows.cut,
        end=windows.as_of,
        length=length,
        max_events=job.settings.interactions.max_events,
        event_names=job.settings.interactions.event_names,
        stream=job.settings.stream,
    )
    model = ServedModel(version.model_version, version.generation, version.folder, policy)
    rules = rules_in_force(job.warehouse, windows.cut, job.settings.rules).without_availability()
    saved = rules.save(job.home.rules) if rules.changes_lists else None
    scorer = in_process_scorer(lambda: saved, job.settings.placements)
    report = replay_live(job.home, job.warehouse, plan, model=model, scorer=scorer, now=job.now)
    rows = evaluate_live(
        events_until(job, windows),
        job.warehouse.read(RECOMMENDATIONS),
        job.warehouse.read(RECOMMENDATION_UPDATES),
        _newcomers_list(model, plan),
        plan=plan,
        target=job.record(BUILD)["target"],
        evaluation=job.settings.evaluation,
        run_id=fingerprint,
    )
    replace_rows(job.warehouse, rows, EVALUATION_RESULTS, where=f"run_id = '{fingerprint}'")
    return dataclasses.asdict(report)


def _newcomers_list(model: ServedModel, plan: LivePlan) -> list[str]:
    """The items for a shopper without history, best first."""
    newcomer = pa.table({"user_id": [""]})
    lists = recommended_in_process(
        newcomer, EMPTY, artifact=model.artifact, clock=plan.start, length=plan.length, policy=model.policy, threads=1
    )
    return [item["item_id"] for item in lists.column("items")[0].as_py()]
