"""Lists of a sample of shoppers with and without rules."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from freshet.contracts import RULE_EFFECTS
from freshet.pipeline.recommender.recommender_fits import histories_before, sample_of_shoppers
from freshet.ranking.artifact import Artifact
from freshet.ranking.histories.entry_columns import with_entry_columns
from freshet.ranking.lists.shopper_lists import list_batches
from freshet.rules.effects import RuleEffect, rule_effects
from freshet.rules.list_rules import RulesOfModel
from freshet.runs.job import Job
from freshet.tables.format.arrow_rows import arrow_schema


@dataclass(frozen=True)
class ComparedLists:
    """Lists of the same shoppers without and with rules, ids of items, and the effect of each rule on them."""

    user_ids: list[str]
    before: list[list[str]]
    after: list[list[str]]
    effects: list[RuleEffect]

    def facts(self) -> dict[str, int]:
        """How many lists were compared, how many differ, and how many of their items are others."""
        pairs = list(zip(self.before, self.after, strict=True))
        return {
            "compared_lists": len(pairs),
            "changed_lists": sum(before != after for before, after in pairs),
            "changed_items": sum(len(set(after) - set(before)) for before, after in pairs),
        }


def compared_lists(job: Job, artifact: Artifact, rules: RulesOfModel, *, policy: str) -> ComparedLists:
    """Lists of at most `rules.effect_shoppers` shoppers as of the cut; `rules` are for the items of `artifact`."""
    most = job.settings.rules.effect_shoppers
    if not rules.rules.rules or not most:
        return ComparedLists([], [], [], [])
    windows, length = job.windows(), job.settings.lists.length
    sample = sample_of_shoppers(histories_before(job, windows, windows.cut).frame.select("user_id", "history"), most)
    batches = with_entry_columns(sample.orderBy("user_id")).toArrow().combine_chunks().to_batches()
    before, after = (
        pa.Table.from_batches(
            part.select(["user_id", "items"])
            for batch in batches
            for part in list_batches(batch, artifact, clock=windows.cut, length=length, policy=policy, rules=chosen)
        )
        for chosen in (RulesOfModel(rules.rules.without_rules(), artifact.items), rules)
    )
    return _compared(before, after, rules, artifact.items, length)


def _compared(before: pa.Table, after: pa.Table, rules: RulesOfModel, items: pa.Array, length: int) -> ComparedLists:
    user_ids = before.column("user_id").combine_chunks().cast(pa.string())
    places = _places(before, items, length), _places(after, items, length)
    effects = rule_effects(rules, *places, audience=rules.audiences_of(user_ids))
    return ComparedLists(user_ids.to_pylist(), _item_ids(before), _item_ids(after), effects)


def _item_ids(table: pa.Table) -> list[list[str]]:
    return [[entry["item_id"] for entry in row] for row in table.column("items").to_pylist()]


def _places(table: pa.Table, items: pa.Array, length: int) -> NDArray[np.int64]:
    lists = table.column("items").combine_chunks()
    counts = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    found = np.full((len(lists), length), -1)
    found[np.arange(length) < counts[:, None]] = pc.index_in(lists.flatten().field("item_id"), value_set=items)
    return found


def effect_rows(compared: ComparedLists, *, measured_at: datetime) -> pa.Table:
    """Rows of contract RULE_EFFECTS."""
    rows: list[dict[str, Any]] = [{**effect._asdict(), "measured_at": measured_at} for effect in compared.effects]
    return pa.Table.from_pylist(rows, schema=arrow_schema(RULE_EFFECTS))
