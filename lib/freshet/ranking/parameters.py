"""Parameters of lists."""

from typing import Literal

from pydantic import Field

from freshet.core.parameters import parameters


@parameters
class ListParameters:
    """What lists look like."""

    length: int = Field(ge=1, description="items in a shopper's list")
    seen_policy: Literal["auto", "next_baskets", "new_items"] = Field(
        description="next_baskets: had items may come again; new_items: never; auto: by repeat_share"
    )
    repeat_share: float = Field(
        ge=0,
        le=1,
        description="share of repeats in what shoppers took in the validation window from which on repeats are served",
    )
    anonymous_active_days: int = Field(
        description="an anonymous shopper gets a batch list only when seen so many days before the cut"
    )
    similar_length: int = Field(
        ge=1, description="neighbours kept in similar_items, of those that item_models.neighbours.counts has made"
    )
    popular_length: int = Field(ge=1, description="places of each list in popular_items")
