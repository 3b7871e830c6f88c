"""Audits of what judged lists show: the exposure of groups of items, and popularity against the shoppers' taste."""

from datetime import datetime

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


def taken_items_of(features: pa.Table) -> pa.Table:
    """(item_id, shoppers): the items of ITEM_FEATURES that somebody has taken, and how many shoppers have."""
    return features.select(["item_id", "shoppers"]).filter(pc.field("shoppers") > 0)


def item_audits(
    job: Job, lists: pa.Table, cases: DataFrame, *, target: str, taken: pa.Table, clock: datetime
) -> Figures:
    """Rows of audit_results without run_id and split, for `lists` (task, model, user_id, items list<string>) of the
    shoppers of `cases`, from what was known at `clock`; `taken` is the result of `taken_items_of` then."""
    params, ks = job.settings.audits, [job.settings.gate.k]
    merit = taken.rename_columns(["item_id", "purchases"])
    figures: Figures = []
    for audit, groups in item_groups(taken, item_states(job.warehouse, clock), params).items():
        rows = exposure_by_group(lists, merit, groups, ks=ks, by=_BY)
        figures += [{**row, "audit": audit} for row in rows]
    histories = cases.select("user_id", had_items(target).alias("items")).toArrow()
    popularity = taken.rename_columns(["item_id", "popularity"])
    lifts = popularity_lift(lists, histories, popularity, ks=ks, by=_BY)
    return [*figures, *({**row, "audit": ITEM_POPULARITY, "group": _ALL} for row in lifts)]


def exposure_of(lists: pa.Table, taken: pa.Table, states: pa.Table, name: str, *, k: int) -> Figures:
    """The rows of `exposure_by_group`, by task and model, of the items that a limit is about, as brand=Harbour; none if
    there is no such item. Of a category the first level counts."""
    attribute, value = limited_items(name)
    items = states.column("item_id").filter(pc.fill_null(pc.equal(_values(states, attribute), value), False))
    groups = pa.table({"item_id": items, "group": pa.repeat(name, len(items))})
    rows = exposure_by_group(lists, taken.rename_columns(["item_id", "purchases"]), groups, ks=[k], by=_BY)
    return [row for row in rows if row["group"] == name]
