"""Parameters of lists."""

from typing import Annotated

from pydantic import Field

from freshet.contracts.policies import NEW_ITEMS, NEXT_BASKETS, POLICIES
from freshet.core.parameters import one_of, parameters

AUTO = "auto"
"""The value of `seen_policy` with which the data decide on the policy."""


@parameters
class ListParameters:
    """Length and content of lists."""

    length: int = Field(ge=1, description="items in a shopper's list")
    seen_policy: Annotated[str, one_of((AUTO, *POLICIES))] = Field(
        description=f"{NEXT_BASKETS}: may repeat a shopper's items; {NEW_ITEMS}: never does; "
        f"{AUTO}: decided by repeat_share"
    )
    repeat_share: float = Field(
        ge=0,
        le=1,
        description=f"{AUTO} means {NEXT_BASKETS} if at least this share of items taken in validation are repeats",
    )
    anonymous_active_days: int = Field(
        description="anonymous shoppers get a batch list only if active in this many days before the cut"
    )
    similar_length: int = Field(
        ge=1,
        description="neighbours per item kept in similar_items, of those that item_models.neighbours.counts allows",
    )
    popular_length: int = Field(ge=1, description="items of each list in popular_items")
    popular_attributes: tuple[str, ...] = Field(
        description="properties of events, or segment, by whose values popular_items has further lists, for newcomers"
    )
    popular_values: int = Field(ge=1, description="most frequent values of each that have lists")
    popular_prior_shoppers: float = Field(
        ge=0, description="shoppers of all whom those of a value are counted with: damps values with few shoppers"
    )
