"""Step recommend: lists of all shoppers, similar and popular items, probabilities and segments, from the champions."""

import operator
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts import (
    ITEM_FEATURES,
    ITEMS_HISTORY,
    POPULAR_ITEMS,
    RULE_EFFECTS,
)
from freshet.contracts.shoppers import counts_as_taste, shopper_id
from freshet.core.errors import DataTooSmallError
from freshet.core.threads import side_by_side
from freshet.evaluation.splitting import known_before
from freshet.pipeline.merchandising.effects import compared_lists, effect_rows
from freshet.pipeline.merchandising.shopper_attributes import SEGMENT, named_attributes, write_user_attributes
from freshet.pipeline.recommender.recommender_fits import events_until, histories_before
from freshet.pipeline.train_propensity import write_scores
from freshet.pipeline.train_segments import write_segments
from freshet.ranking.artifact import Artifact
from freshet.ranking.lists.shopper_lists import listing
from freshet.ranking.popular_items import attribute_scopes, popular_by_attribute, popular_items, together
from freshet.registry.versions import ModelVersion
from freshet.rules.compiled import CompiledRules
from freshet.rules.list_rules import RulesOfModel
from freshet.runs.job import Job
from freshet.runs.merchandising import rules_in_force, written_rules
from freshet.runs.policies import served_policy
from freshet.runs.registered_models import PROPENSITY, RECOMMENDER, SEGMENTS, champion, champion_facts
from freshet.runs.steps import BUILD
from freshet.service.compaction.list_table import newer_stream_lists, write_lists
from freshet.service.lists.similar_items import write_similar_items
from freshet.tables.small_writes import replace_collected, replace_whole


def inputs(job: Job) -> dict[str, Any]:
    """The windows and the champions."""
    build = job.record(BUILD)
    names = (RECOMMENDER, PROPENSITY, SEGMENTS)
    return {"windows": build["windows"], **{name: champion_facts(job, name) for name in names}}


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Writes the champions' results as of the windows' cut; records the policy and the number of lists."""
    windows = job.windows()
    versions = {name: champion(job, name) for name in (RECOMMENDER, PROPENSITY, SEGMENTS)}
    scorer, probability, segments = versions.values()
    refused: dict[str, str] = {}

    def written_if_it_fits(name: str, write: Callable[[], None]) -> None:
        """Keeps a model that does not fit the data from stopping the tables of the others."""
        try:
            write()
        except DataTooSmallError as reason:
            refused[name] = str(reason)

    # Needs no model, so that a shop without a champion has something to show.
    rules = _rules(job)
    popular = partial(_write_popular, job, rules)
    waits = SEGMENT in job.settings.lists.popular_attributes
    written: list[Callable[[], dict[str, Any] | None]] = [] if waits else [popular]
    if scorer is not None:
        written.append(partial(_write_lists, job, scorer, rules))
    if probability is not None:
        written.append(partial(written_if_it_fits, PROPENSITY, partial(write_scores, job, probability, windows)))
    if segments is not None:
        written.append(partial(written_if_it_fits, SEGMENTS, partial(write_segments, job, segments, windows)))
    # In parallel: they write different tables in short jobs, mostly waiting for query plans and commits.
    kept = side_by_side(operator.call, written, spark=job.spark, at_once=len(written))
    if waits:
        # It reads the segments that were just written.
        popular()
    if not any(versions.values()):
        raise DataTooSmallError("no model serves, so there is nothing to write but popular items")
    not_written = {name: refused[name] for name in versions if name in refused}
    for name, reason in not_written.items():
        job.notify(f"{name}: {reason}")
    # Only the lists return values for the record.
    return next(filter(None, kept), {}) | ({"not_written": not_written} if not_written else {})


def _rules(job: Job) -> CompiledRules:
    """The rules as of the windows' cut, for the attributes that shoppers have now."""
    write_user_attributes(job, written_rules(job.warehouse))
    return rules_in_force(job.warehouse, job.windows().cut, job.settings.rules)


def _write_lists(job: Job, version: ModelVersion, rules: CompiledRules) -> dict[str, Any]:
    windows, lists = job.windows(), job.settings.lists
    policy = served_policy(job)
    histories = histories_before(job, windows, windows.cut)
    active_since = windows.cut - timedelta(days=lists.anonymous_active_days)
    saved = rules.save(job.home.rules) if rules.changes_lists else None
    lists_of = listing(
        artifact=version.folder, clock=windows.cut, length=lists.length, policy=policy, rules=saved,
        placements=job.settings.placements,
    )  # fmt: skip
    facts = {
        "generated_at": job.now(),
        "event_clock": windows.cut,
        "generation": version.generation,
        "model_version": version.model_version,
        "source": "batch",
    }
    newer = newer_stream_lists(job.warehouse, generation=version.generation, clock=windows.cut)
    count = write_lists(job.warehouse, histories, lists_of, facts, newer=newer, active_since=active_since)
    artifact = Artifact.load(version.folder)
    of_model = RulesOfModel(rules, artifact.items)
    write_similar_items(job, version, artifact, of_model.left_out_for_all())
    compared = compared_lists(job, artifact, of_model, policy=policy)
    replace_whole(job.warehouse, effect_rows(compared, measured_at=job.now()), RULE_EFFECTS)
    return {"policy": policy, "lists": count, "rules": compared.facts()}


def _write_popular(job: Job, rules: CompiledRules) -> None:
    """Writes the items for shoppers without a list of their own, without items that are in nobody's list."""
    cut = job.windows().cut
    features = job.warehouse.read(ITEM_FEATURES).where(F.col("as_of") == F.lit(cut))
    job.warehouse.create(ITEMS_HISTORY)  # missing in a home that only a stream has filled
    states = job.warehouse.read(ITEMS_HISTORY).where(F.col("valid_from") < F.lit(cut))
    newest = states.groupBy("item_id").agg(F.max_by("category_path", "valid_from").alias("category_path"))
    left_out = None
    if rules.changes_lists:
        ids = features.select("item_id").toArrow().column("item_id").combine_chunks()
        named = ids.take(pa.array(RulesOfModel(rules, ids).left_out_for_all()))
        left_out = job.spark.createDataFrame(pa.table({"item_id": named}))
        features = features.join(left_out, on="item_id", how="left_anti")
    lists = job.settings.lists
    parts = [popular_items(features, newest, length=lists.popular_length)]
    if lists.popular_attributes:
        taken = _taken_by_attribute(job, left_out)
        parts.append(
            popular_by_attribute(
                taken, as_of=cut, length=lists.popular_length, prior_shoppers=lists.popular_prior_shoppers
            )
        )
    replace_collected(job.warehouse, together(parts), POPULAR_ITEMS)


def _taken_by_attribute(job: Job, left_out: DataFrame | None) -> DataFrame:
    """(user_id, item_id, newest, scopes): what shoppers with one of the attributes of the settings took before the cut,
    without the items (item_id) that are in nobody's list."""
    lists, cut, target = job.settings.lists, job.windows().cut, job.record(BUILD)["target"]
    attributes = named_attributes(job, lists.popular_attributes, as_of=cut)
    scopes = attribute_scopes(attributes, most_values=lists.popular_values)
    known = known_before(events_until(job, job.windows()), cut)
    taken = known.where(counts_as_taste() & (F.col("event_name") == target)).groupBy(
        shopper_id().alias("user_id"), "item_id"
    )
    pairs = taken.agg(F.max("event_time").alias("newest"))
    if left_out is not None:
        pairs = pairs.join(left_out, on="item_id", how="left_anti")
    return pairs.join(scopes, on="user_id", how="left")
