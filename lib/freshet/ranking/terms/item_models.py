"""Item models as terms: every registered model is one, under its own name."""

from dataclasses import dataclass
from typing import Any

from freshet.contracts.policies import POLICIES
from freshet.models.items.item_model import ItemModel
from freshet.ranking.terms.reason import SIMILAR_TO
from freshet.ranking.terms.term import ItemModelProduct


@dataclass(frozen=True)
class ItemModelTerm(ItemModelProduct):
    """An item model in the blend. Its reason names the item of the shopper's history that contributes most."""

    model: ItemModel[Any, Any]
    reason = SIMILAR_TO
    policies = POLICIES

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.model.name

    def describe(self, member: str) -> str:
        return self.model.description
