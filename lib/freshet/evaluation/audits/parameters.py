"""Parameters of the audits."""

from pydantic import Field, field_validator

from freshet.core.parameters import parameters

ACTIVITY, TENURE, ITEM_POPULARITY = "activity", "tenure", "item_popularity"
"""Audits that every shop has: target events of a shopper before the clock, days since the first known event, and
shoppers of an item."""


@parameters
class AuditParameters:
    """For which groups of shoppers the quality of lists is given, and what no group may lose."""

    attributes: tuple[str, ...] = Field(
        description="properties of events by which shoppers are grouped, the newest value counts; [] for none"
    )
    item_attributes: tuple[str, ...] = Field(
        description="category (its first level), brand or attributes by which listed items are grouped; [] for none"
    )
    groups: int = Field(
        ge=1, description="groups of activity and tenure of shoppers and popularity of items, of about equal size"
    )
    most_values: int = Field(
        ge=1, description="most values of an attribute with a group of their own; the rest: others"
    )
    min_users: int = Field(ge=1, description="groups of fewer shoppers refuse no challenger")
    max_group_loss: float = Field(
        ge=0, le=1, description="NDCG that no group may certainly lose more of against the champion; 1: no limit"
    )

    @field_validator("attributes", "item_attributes")
    @classmethod
    def _are_free(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        own = (ACTIVITY, TENURE, ITEM_POPULARITY)
        if len(set(names)) < len(names) or set(own) & set(names) or not all(name.strip() for name in names):
            raise ValueError(f"must hold different names that are neither empty nor one of {', '.join(own)}")
        return names
