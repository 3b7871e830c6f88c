"""Audits of judged lists by group of shoppers: the groups, and the rows of table audit_results."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts import AUDIT_RESULTS, USER_SEGMENTS
from freshet.evaluation.audits.groups import quantile_groups, value_groups
from freshet.evaluation.audits.parameters import ACTIVITY, SEGMENT, TENURE, AuditParameters
from freshet.evaluation.audits.quality import group_differences, group_quality
from freshet.evaluation.ranking import Figures
from freshet.pipeline.merchandising.shopper_attributes import newest_properties, segments_of
from freshet.pipeline.recommender.recommender_fits import had_items
from freshet.runs.job import Job
from freshet.tables.small_writes import replace_rows

_BY = ("task", "model")


def shopper_facts(
    cases: DataFrame, known: DataFrame, *, target: str, clock: datetime, attributes: Sequence[str]
) -> DataFrame:
    """(user_id, activity, tenure, values array<string>): what the shoppers of `cases` are grouped by.

    activity: the `target` events in the history; tenure: days from its first entry to `clock`, null without one;
    values: for each of `attributes` the newest value among the events `known`, null if none has it.
    """
    first = F.array_min(F.transform("history", lambda entry: entry["event_time"]))
    tenure = F.datediff(F.lit(clock).cast("timestamp"), first).cast("double")
    activity = F.size(had_items(target)).cast("double")
    own = cases.select("user_id", activity.alias(ACTIVITY), tenure.alias(TENURE))
    if not attributes:
        return own.withColumn("values", F.array().cast("array<string>"))
    newest = newest_properties(known, names=attributes)
    values = F.array(*[F.col("properties")[name] for name in attributes])
    return own.join(newest, "user_id", how="left").select("user_id", ACTIVITY, TENURE, values.alias("values"))


def shopper_groups(facts: pa.Table, params: AuditParameters) -> pa.Table:
    """(user_id, audit, group) of all audits, from a result of `shopper_facts`."""
    users, parts = facts.column("user_id").combine_chunks(), []
    for audit in (ACTIVITY, TENURE):
        numbers = pc.fill_null(facts.column(audit), float("nan")).to_numpy()
        parts.append((audit, quantile_groups(numbers, groups=params.groups)))
    for place, audit in enumerate(params.attributes):
        values = pc.list_element(facts.column("values").combine_chunks(), place) if len(users) else users
        parts.append((audit, value_groups(values, at_most=params.most_values)))
    return pa.concat_tables(
        pa.table({"user_id": users, "audit": pa.repeat(audit, len(users)), "group": group}) for audit, group in parts
    )


class ShopperGroups(NamedTuple):
    """`table`: (user_id, audit, group) of judged shoppers; `left_out`: by audit, why it has no groups."""

    table: pa.Table
    left_out: dict[str, str]


def groups_of_cases(job: Job, cases: DataFrame, known: DataFrame, *, target: str, clock: datetime) -> ShopperGroups:
    """The groups of the shoppers of `cases`, by the settings, from what was known at `clock`."""
    params = job.settings.audits
    facts = shopper_facts(cases, known, target=target, clock=clock, attributes=params.attributes)
    groups = shopper_groups(facts.toArrow(), params)
    if SEGMENT in params.attributes:
        return ShopperGroups(groups, {})
    if not job.warehouse.exists(USER_SEGMENTS):
        return ShopperGroups(groups, {SEGMENT: "there are no segments yet"})
    segments = segment_groups(cases, job.warehouse.read(USER_SEGMENTS), clock=clock)
    if not segments.num_rows:
        reason = f"no judged shopper has a segment from {clock:%Y-%m-%d %H:%M} or before"
        return ShopperGroups(groups, {SEGMENT: reason})
    return ShopperGroups(pa.concat_tables([groups, segments.cast(groups.schema)]), {})


def segment_groups(cases: DataFrame, segments: DataFrame, *, clock: datetime) -> pa.Table:
    """(user_id, audit, group): the segments of the shoppers of `cases` as of the newest date up to `clock`, as later
    ones follow from what the shoppers are judged on. `segments` are rows of contract USER_SEGMENTS; without such a date
    there are no groups."""
    known = segments_of(segments.where(F.col("as_of") <= F.lit(clock)))
    mine = known.join(cases.select("user_id"), "user_id", how="left_semi")
    return mine.select("user_id", F.lit(SEGMENT).alias("audit"), F.col("segment_name").alias("group")).toArrow()


def write_audits(
    job: Job, judged: pa.Table, groups: pa.Table, of_items: Sequence[dict[str, Any]], *, run_id: str, split: str
) -> None:
    """Replaces this run's rows of audit_results; `judged` is a result of `per_user` by task and model, `of_items` one
    of `item_audits`."""
    at_k = judged.filter(pc.field("k") == job.settings.gate.k)
    figures = group_quality(at_k, groups, samples=job.settings.evaluation.bootstrap_samples, by=_BY)
    rows = [{**figure, "run_id": run_id, "split": split} for figure in [*figures, *of_items]]
    replace_rows(job.warehouse, rows, AUDIT_RESULTS, where=f"run_id = '{run_id}'")


def differences_by_group(job: Job, challenger: pa.Table, champion: pa.Table, groups: pa.Table) -> Figures:
    """`group_differences` in the NDCG at the gate's list length; the challenger's table has no column model."""
    samples = job.settings.evaluation.bootstrap_samples
    return group_differences(
        challenger, champion, groups, metric="ndcg", k=job.settings.gate.k, samples=samples, by=_BY
    )
