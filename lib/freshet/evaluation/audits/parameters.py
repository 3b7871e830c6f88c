"""Parameters of the audits."""

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from freshet.core.parameters import parameters

ACTIVITY, TENURE, SEGMENT, ITEM_POPULARITY = "activity", "tenure", "segment", "item_popularity"
"""Audits that need no setting: target events of a shopper before the clock, days since the first known event, the
segment as of a date before the clock, and shoppers of an item. An attribute of shoppers that is called segment takes
the place of the segments."""

NO_LIMIT = -1.0
"""Of max_popularity_lift. A lift is never below -1."""

Shares = dict[str, Annotated[float, Field(ge=0, le=1)]]
Ratios = dict[str, Annotated[float, Field(ge=0)]]
"""By the items that a limit is about, as brand=Harbour; see `limited_items`."""


def limited_items(name: str) -> tuple[str, str]:
    """(attribute, value) of the items that a limit is about: what is before the first = and what is behind it.

    Raises ValueError where one of them is missing or blank.
    """
    attribute, _, value = (part.strip() for part in name.partition("="))
    if not attribute or not value:
        raise ValueError(f"must name items as attribute=value, such as brand=Harbour, has {name!r}")
    return attribute, value


@parameters
class AuditParameters:
    """By which groups of shoppers and items lists are audited, and which limits a challenger must keep."""

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
    min_users: int = Field(
        ge=1, description="groups of fewer shoppers, and tasks with fewer lists, refuse no challenger"
    )
    max_group_loss: float = Field(
        ge=0, le=1, description="NDCG that no group may certainly lose more of against the champion; 1: no limit"
    )
    max_popularity_lift: float = Field(
        ge=NO_LIMIT,
        description="how much more popular listed items may be than what their shoppers took before; "
        "0: not at all, 1: twice as popular, -1: no limit",
    )
    min_exposure_share: Shares = Field(
        description="fewest of all places that items must have, as a share, "
        'such as { "brand=Harbour" = 0.1 }; {}: no limit'
    )
    max_exposure_share: Shares = Field(description="most of all places that items may have, likewise; {}: no limit")
    min_exposure_ratio: Ratios = Field(
        description="least share of places divided by share of purchases, likewise; "
        "1: shown as often as bought; {}: no limit"
    )
    max_exposure_ratio: Ratios = Field(description="the greatest such ratio, likewise; {}: no limit")

    @field_validator("attributes", "item_attributes")
    @classmethod
    def _are_free(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        own = (ACTIVITY, TENURE, ITEM_POPULARITY)
        if len(set(names)) < len(names) or set(own) & set(names) or not all(name.strip() for name in names):
            raise ValueError(f"must hold different names that are neither empty nor one of {', '.join(own)}")
        return names

    @field_validator("min_exposure_share", "max_exposure_share", "min_exposure_ratio", "max_exposure_ratio")
    @classmethod
    def _name_items(cls, limits: dict[str, float]) -> dict[str, float]:
        for name in limits:
            limited_items(name)
        return limits

    @model_validator(mode="after")
    def _can_be_kept(self) -> "AuditParameters":
        pairs = (
            (self.min_exposure_share, self.max_exposure_share, "exposure_share"),
            (self.min_exposure_ratio, self.max_exposure_ratio, "exposure_ratio"),
        )
        wrong = [
            f"min_{figure} of {name} is {low[name]:g} and max_{figure} {high[name]:g}: no list can keep both"
            for low, high, figure in pairs
            for name in low
            if name in high and low[name] > high[name]
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self
