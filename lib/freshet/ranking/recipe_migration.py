"""Migrates recipes of models that were trained by earlier versions to the current form."""

from collections.abc import Mapping
from typing import Any

from freshet.models.items.linear_items import LinearItems
from freshet.models.items.neighbours import Neighbours
from freshet.models.items.next_items import NextItems
from freshet.ranking.terms.own_items import OwnSeen

_SIMILARITY = {"asymmetry": 1.4, "shrinkage": 10.0}
"""For neighbours whose recipe lacks them: they were settings then, and these were their values in conf/base.toml."""

_OLD = ("neighbour_half_life_days", "linear_half_life_days", "own_half_lives")


def migrated(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a recipe in the current form; a recipe that has it already is unchanged.

    Earlier forms had a field per item model: a number of neighbours, 0 for none, and parameters or null (at first
    missing) of the linear and the next-item model, with separate half-lives. For own terms they had half-lives alone.
    """
    if "item_models" in values:
        return {"rankers": {}, **values}
    models = {}
    if values.get(Neighbours.name):
        models[Neighbours.name] = {
            "count": values[Neighbours.name], **_SIMILARITY, "half_life_days": values["neighbour_half_life_days"]
        }  # fmt: skip
    if values.get(LinearItems.name):
        models[LinearItems.name] = {
            **values[LinearItems.name], "half_life_days": values.get("linear_half_life_days")
        }  # fmt: skip
    if values.get(NextItems.name):
        models[NextItems.name] = values[NextItems.name]
    known = (Neighbours.name, LinearItems.name, NextItems.name, *_OLD)
    return {
        **{name: value for name, value in values.items() if name not in known},
        "item_models": models,
        "sparse_terms": {
            name: {} if name == OwnSeen.name else {"half_life_days": days}
            for name, days in values["own_half_lives"].items()
        },
        "extensions": [],
        "rankers": {},
    }
