"""Recipes of models that were trained by earlier versions, as values of today."""

from collections.abc import Mapping
from typing import Any

from freshet.models.items.linear_items import LinearItems
from freshet.models.items.neighbours import Neighbours
from freshet.models.items.next_items import NextItems
from freshet.ranking.terms.own_items import OwnSeen

_SIMILARITY = {"asymmetry": 1.4, "shrinkage": 10.0}
"""Of neighbours whose recipe does not say: they were settings then, and these their values in conf/base.toml."""

_OLD = ("neighbour_half_life_days", "linear_half_life_days", "own_half_lives")


def migrated(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a recipe in today's form; those that are in it already are left as they are.

    Once there was a field per item model: a number of neighbours, 0 for none, and parameters or null, missing at first,
    of the linear and of the next-item model, with half-lives beside them. Of own terms there were half-lives alone.
    """
    if "item_models" in values:
        return dict(values)
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
    }
