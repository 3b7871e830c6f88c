"""The recipe: everything a search has chosen for one source of data, stored with the model and never in code."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from freshet.models.factors.parameters import AlsParameters
from freshet.models.items.linear_items import LinearItemParameters
from freshet.models.items.next_items import NextItemParameters

FACTORS = "factors"
NEIGHBOURS, LINEAR_ITEMS, NEXT_ITEMS = "neighbours", "linear_items", "next_items"
ITEM_MODELS = (NEIGHBOURS, LINEAR_ITEMS, NEXT_ITEMS)
"""Names of the learned terms of a score: the factor model, and the models that say how much an item speaks for another.
The other terms begin with own_ (a shopper's items) or item_ (all items)."""


OWN_SEEN = "own_seen"
"""Marks what a shopper had, whatever its age."""


@dataclass(frozen=True)
class Recipe:
    """How scores are made. Half-lives in days, null means no decay.

    Strengths below `item_min_strength` do not train the factors, those below `user_min_strength` are not folded in:
    MLlib gives every positive strength, however faded, the full preference of 1.
    `weights` is by policy and then by term; a term that is not named has weight 0 and is not computed.
    `own_half_lives` are those of the own_ terms, by term name; `event_weights` is by GA4 event name.
    `als`, `linear_items` and `next_items` are null where there is no such model, `neighbours` (a number per item) is 0.
    """

    target: str
    event_weights: dict[str, float]
    als: AlsParameters | None
    item_half_life_days: float | None
    item_min_strength: float
    user_half_life_days: float | None
    user_min_strength: float
    neighbours: int
    neighbour_half_life_days: float | None
    own_half_lives: dict[str, float | None]
    weights: dict[str, dict[str, float]]
    # Recipes of models that were trained before there were these two lack them.
    linear_items: LinearItemParameters | None = None
    linear_half_life_days: float | None = None
    next_items: NextItemParameters | None = None

    @property
    def event_names(self) -> list[str]:
        """Names by event code: those that have a weight, and the target, which may have none."""
        return list(dict.fromkeys([*self.event_weights, self.target]))

    @property
    def target_code(self) -> int:
        """The target's event code."""
        return self.event_names.index(self.target)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "Recipe":
        values: dict[str, Any] = json.loads(text)
        for name, kind in _PARAMETERS.items():
            if values.get(name) is not None:
                values[name] = kind(**values[name])
        return Recipe(**values)


_PARAMETERS: dict[str, type] = {
    "als": AlsParameters, LINEAR_ITEMS: LinearItemParameters, NEXT_ITEMS: NextItemParameters
}  # fmt: skip
