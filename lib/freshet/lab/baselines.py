"""The plain baselines of evaluation/baselines.py on a split: popularity, own frequency, item-kNN and user-kNN."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from freshet.core.errors import InputError
from freshet.evaluation.baselines import FAMILIES, FREQUENCY, POPULARITY, Baseline, baseline_lists_in_process
from freshet.evaluation.kernels import Nearness
from freshet.lab import defaults
from freshet.lab.interactions import Interactions
from freshet.lab.lists import Lists
from freshet.lab.protocols import users_as_cases
from freshet.lab.splits import Cases, Split, checked_policy
from freshet.ranking.histories.history_block import read_block

BASELINES = FAMILIES
"""The names of the baselines."""

_STRENGTH, _COUNT = "decayed", "any"


def baseline(
    name: str, split: Split, *, k: int = 10, half_life_days: float | None = None, policy: str | None = None,
    neighbours: Nearness | None = None,
) -> Lists:  # fmt: skip
    """The lists of a baseline of BASELINES for the cases of a split, with `k` items where there are as many.

    `half_life_days`: decay of what users had, by their newest row for neighbours, by all rows for the frequency; None:
    no decay; popularity has none. `neighbours`: count, shrinkage and asymmetry; by default those of conf/base.toml.
    Strengths of rows and kinds of events do not count here. Equal scores are ordered by popularity, then by item id.
    Raises InputError for an unknown baseline.
    """
    if name not in FAMILIES:
        raise InputError("there is no such baseline", where="baseline", expected=", ".join(FAMILIES), found=str(name))
    chosen, usual = checked_policy(policy or split.policy), defaults.evaluation()
    is_count = name in (POPULARITY, FREQUENCY)
    train, cases = split.train, split.cases
    everybody = users_as_cases(train, train.users, split.clock)
    made = baseline_lists_in_process(
        _pairs(everybody, train, half_life_days, is_count),
        cases.table.column("user_id").combine_chunks(),
        baselines=[Baseline(name, _STRENGTH)],
        k=k,
        near_items=neighbours or Nearness(usual.item_neighbours, usual.item_shrinkage, usual.item_asymmetry),
        near_users=neighbours or Nearness(usual.user_neighbours, usual.user_shrinkage, 1.0),
        fill=_COUNT,
        own=None if cases.of_train else _pairs(cases, train, half_life_days, is_count),
    )
    mine = made.filter(pc.equal(made.column("task"), chosen)).combine_chunks()
    in_order = mine.take(pc.index_in(cases.table.column("user_id"), value_set=mine.column("user_id").combine_chunks()))
    return Lists.from_entries(in_order, policy=chosen, types=(cases.user_type, cases.item_type))


def _pairs(cases: Cases, train: Interactions, half_life_days: float | None, is_count: bool) -> pa.Table:
    """(user_id, item_id, a column per strength) of the histories."""
    names = [str(name) for name in pc.unique(train.event_names).to_pylist()]
    block = read_block(cases.batch().column("history"), items=train.items, event_names=names, clock=cases.clock)
    if is_count:
        found = block.strengths(np.ones(len(names)), half_life_days).tocoo()
    else:
        found = block.newest(np.ones(len(names), dtype=np.bool_), half_life_days).tocoo()
    return pa.table(
        {
            "user_id": cases.table.column("user_id").take(pa.array(found.row)),
            "item_id": train.items.take(pa.array(found.col)),
            _STRENGTH: found.data.astype(np.float64),
            _COUNT: np.ones(found.nnz),
        }
    )
