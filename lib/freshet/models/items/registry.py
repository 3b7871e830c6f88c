"""The registered item models. A new one is added here, in one line, or by a module of extensions.modules."""

from typing import Any

from freshet.core.named import NameRegistry
from freshet.models.items.item_model import ItemModel
from freshet.models.items.linear_items import LinearItems
from freshet.models.items.neighbours import Neighbours
from freshet.models.items.next_items import NextItems
from freshet.models.items.user_neighbours import UserNeighbours

ITEM_MODELS: NameRegistry[ItemModel[Any, Any]] = NameRegistry(
    "item model", Neighbours(), LinearItems(), NextItems(), UserNeighbours()
)
"""In the order in which their contributions are added up."""
