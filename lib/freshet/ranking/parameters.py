"""Parameters of lists."""

from typing import Literal

from pydantic import Field

from freshet.core.parameters import parameters


@parameters
class ListParameters:
    """Length and content of lists."""

    length: int = Field(ge=1, description="items in a shopper's list")
    seen_policy: Literal["auto", "next_baskets", "new_items"] = Field(
        description="next_baskets: may repeat a shopper's items; new_items: never does; auto: decided by repeat_share"
    )
    repeat_share: float = Field(
        ge=0,
        le=1,
        description="auto means next_baskets if at least this share of items taken in validation are repeats",
    )
    anonymous_active_days: int = Field(
        description="anonymous shoppers get a batch list only if active in this many days before the cut"
    )
    similar_length: int = Field(
        ge=1,
        description="neighbours per item kept in similar_items, of those that item_models.neighbours.counts allows",
    )
    popular_length: int = Field(ge=1, description="items of each list in popular_items")
