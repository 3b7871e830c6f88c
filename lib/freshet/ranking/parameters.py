"""Parameters of lists."""

from typing import Literal

from pydantic import Field

from freshet.core.parameters import parameters


@parameters
class ListParameters:
    """Length and content of lists."""

    length: int = Field(ge=1, description="items in a shopper's list")
    seen_policy: Literal["auto", "next_baskets", "new_items"] = Field(
        description="next_baskets: a shopper's own items may be repeated; new_items: never; auto: by repeat_share"
    )
    repeat_share: float = Field(
        ge=0,
        le=1,
        description="lowest share of repeats among target events of the validation window for which they are served",
    )
    anonymous_active_days: int = Field(
        description="an anonymous shopper gets a batch list only when seen within this many days before the cut"
    )
    similar_length: int = Field(
        ge=1, description="neighbours kept in similar_items, from those of item_models.neighbours.counts"
    )
    popular_length: int = Field(ge=1, description="items of each list in popular_items")
