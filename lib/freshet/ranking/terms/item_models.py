"""Item models as terms: every registered model is one, under its own name."""

from dataclasses import dataclass
from typing import Any

from freshet.contracts.policies import POLICIES
from freshet.models.items.item_model import ITEMS, ItemModel
from freshet.ranking.terms.reason import SIMILAR_SHOPPERS, SIMILAR_TO, Reason
from freshet.ranking.terms.term import ItemModelProduct


@dataclass(frozen=True)
class ItemModelTerm(ItemModelProduct):
    """An item model in the blend. Where its sources are items, its reason names the item of the shopper's history that
    contributes most."""

    model: ItemModel[Any, Any]
    policies = POLICIES

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.model.name

    @property
    def reason(self) -> Reason:  # type: ignore[override]
        return SIMILAR_TO if self.model.sources == ITEMS else SIMILAR_SHOPPERS

    def describe(self, member: str) -> str:
        return self.model.description
