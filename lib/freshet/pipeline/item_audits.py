"""Audits of what judged lists show: the exposure of groups of items, and popularity against the shoppers' taste."""

from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from freshet.contracts.events import CATEGORY_LEVELS
from freshet.evaluation.audits.exposure import exposure_by_group, popularity_lift
from freshet.evaluation.audits.groups import UNKNOWN, quantile_groups, value_groups
from freshet.evaluation.audits.parameters import ITEM_POPULARITY, AuditParameters, limited_items
from freshet.evaluation.ranking import Figures
from freshet.pipeline.recommender.recommender_fits import had_items
from freshet.rules.text_columns import attribute_columns
from freshet.runs.job import Job
from freshet.tables.lookups.item_states import item_states

_BY = ("task", "model")

_ALL = "all"
"""The group of figures that are about all items."""


def item_groups(taken: pa.Table, states: pa.Table, params: AuditParameters) -> dict[str, pa.Table]:
    """(item_id, group) by audit: of `taken` (item_id, shoppers) by popularity, and of `states` (ITEM_STATE) by the
    columns and attributes of params.item_attributes, of a category the first level. An attribute that no item has is
    left out."""
    popularity = quantile_groups(taken.column("shoppers").to_numpy().astype(np.float64), groups=params.groups)
    found = {ITEM_POPULARITY: pa.table({"item_id": taken.column("item_id"), "group": popularity})}
    for name in params.item_attributes:
        groups = value_groups(_values(states, name), at_most=params.most_values)
        if pc.any(pc.not_equal(groups, UNKNOWN)).as_py():
            found[name] = pa.table({"item_id": states.column("item_id"), "group": groups})
    return found


def _values(states: pa.Table, name: str) -> pa.Array:
    if name == "category":
        path = states.column("category_path").combine_chunks()
        return pc.list_element(pc.split_pattern(path, CATEGORY_LEVELS), 0) if len(path) else path
    if name == "brand":
        return states.column("brand").combine_chunks()
    columns = attribute_columns(states.column("attributes").combine_chunks())
    return columns.get(name, pa.nulls(states.num_rows, pa.string()))


class ItemFacts(NamedTuple):
    """What lists are compared with, as known at one time: `taken` (item_id, shoppers), of items that somebody has
    taken, `histories` (user_id, items list<string>) of the judged shoppers, and `states` (ITEM_STATE)."""

    taken: pa.Table
    histories: pa.Table
    states: pa.Table


def item_facts(job: Job, cases: DataFrame, features: pa.Table, *, target: str, clock: datetime) -> ItemFacts:
    """The facts at `clock`, for which `features` are rows of ITEM_FEATURES."""
    taken = features.select(["item_id", "shoppers"]).filter(pc.field("shoppers") > 0)
    histories = cases.select("user_id", had_items(target).alias("items")).toArrow()
    return ItemFacts(taken, histories, item_states(job.warehouse, clock))


def item_audits(lists: pa.Table, facts: ItemFacts, params: AuditParameters, *, k: int) -> Figures:
    """Rows of audit_results without run_id and split, for `lists` (task, model, user_id, items list<string>)."""
    merit = facts.taken.rename_columns(["item_id", "purchases"])
    figures: Figures = []
    for audit, groups in item_groups(facts.taken, facts.states, params).items():
        rows = exposure_by_group(lists, merit, groups, ks=[k], by=_BY)
        figures += [{**row, "audit": audit} for row in rows]
    return [*figures, *({**row, "audit": ITEM_POPULARITY, "group": _ALL} for row in lifts_of(lists, facts, k=k))]


def lifts_of(lists: pa.Table, facts: ItemFacts, *, k: int) -> Figures:
    """The rows of `popularity_lift` by task and model."""
    popularity = facts.taken.rename_columns(["item_id", "popularity"])
    return popularity_lift(lists, facts.histories, popularity, ks=[k], by=_BY)


def exposure_of(lists: pa.Table, facts: ItemFacts, name: str, *, k: int) -> Figures:
    """The rows of `exposure_by_group`, by task and model, of the items that a limit is about, as brand=Harbour; none if
    there is no such item. Of a category the first level counts."""
    attribute, value = limited_items(name)
    is_meant = pc.fill_null(pc.equal(_values(facts.states, attribute), value), False)
    items = facts.states.column("item_id").filter(is_meant)
    groups = pa.table({"item_id": items, "group": pa.repeat(name, len(items))})
    merit = facts.taken.rename_columns(["item_id", "purchases"])
    rows = exposure_by_group(lists, merit, groups, ks=[k], by=_BY)
    return [row for row in rows if row["group"] == name]
