"""A merchandising rule: its action, the items that it is about, the shoppers and the time for which it holds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

EXCLUDE, INCLUDE, BOOST, BURY, WEIGH, PIN, SHARE, CAP, PRICE_BAND, DIVERSIFY, EXPLORE = (
    "exclude", "include", "boost", "bury", "weigh", "pin", "share", "cap", "price_band", "diversify", "explore",
)  # fmt: skip

ACTIONS = {
    EXCLUDE: ("items",),
    INCLUDE: ("items",),
    BOOST: ("items", "strength"),
    BURY: ("items", "strength"),
    WEIGH: ("attribute", "strength"),
    PIN: ("items", "position"),
    SHARE: ("items", "at_least"),
    CAP: ("most",),
    PRICE_BAND: ("low", "high"),
    DIVERSIFY: ("strength",),
    EXPLORE: ("one_in",),
}
"""The actions, with the fields that each needs.

exclude: matching items are in no list. include: only matching items are; with several such rules an item must match all
of them. boost and bury: scores of matching items are raised or lowered. weigh: scores rise with a numeric attribute.
pin: the best matching item stands at a position. share: of the first k items, for every k, at least this share (rounded
down) match. cap: at most so many items match, or have the same value of `by`. price_band: items whose price is outside
these multiples of the shopper's usual price come after all others. diversify: scores fall with every item above that is
alike: has the same value of `by`, or without `by` is taken by the same shoppers. explore: one place in so many is left
to chance, among matching items that few shoppers have had.
"""

OPTIONAL = {CAP: ("items", "by"), WEIGH: ("items",), DIVERSIFY: ("by",), EXPLORE: ("items", "first_position")}
"""Fields that an action may have besides those that it needs."""

COMMON = ("name", "action", "shoppers", "starts", "ends", "enabled")
"""Fields that every rule may have."""

ITEM_COLUMNS = ("item_id", "name", "category", "brand", "price")
"""What conditions on items may name, besides attributes. `category` is a path of levels joined by ' > '; a condition
also matches all deeper levels."""

NOW = "now"
"""As a bound of a condition: the time at which rules are compiled."""

Bound = float | datetime | str


@dataclass(frozen=True)
class ItemCondition:
    """A condition on one column or attribute of items. All parts that are set must hold.

    `values`: the value is one of these texts. `at_least` and `below`: the value, as a number, or as a time if the bound
    is a time or NOW, is in this range; false for values that are no number or time. `missing`: whether there is no
    value. Other parts are false for items without a value.
    """

    column: str
    is_attribute: bool = False
    values: tuple[str, ...] = ()
    at_least: Bound | None = None
    below: Bound | None = None
    missing: bool | None = None


@dataclass(frozen=True)
class ShopperCondition:
    """A condition on an attribute of shoppers: one of `values`; with `or_unknown` also no value."""

    attribute: str
    values: tuple[str, ...]
    or_unknown: bool = False


@dataclass(frozen=True)
class Rule:
    """One rule. It holds in [starts, ends), UTC without zone, None: always. Fields that its action does not have are
    None; conditions are joined by `and`, and no conditions match everything.

    `strength` is in units of a list: the distance between the scores of its first and its last item. So a boost of 1
    lifts the last item of a list to the first one's score. `definition`: the rule as it was written, as JSON values.
    """

    name: str
    action: str
    definition: dict[str, Any]
    items: tuple[ItemCondition, ...] = ()
    shoppers: tuple[ShopperCondition, ...] = ()
    starts: datetime | None = None
    ends: datetime | None = None
    enabled: bool = True
    strength: float | None = None
    attribute: str | None = None
    position: int | None = None
    at_least: float | None = None
    most: int | None = None
    by: str | None = None
    low: float | None = None
    high: float | None = None
    one_in: float | None = None
    first_position: int | None = None

    @property
    def is_for_all(self) -> bool:
        """Whether the rule holds for every shopper."""
        return not self.shoppers

    def holds_at(self, moment: datetime) -> bool:
        """Whether the rule is enabled and in force at a moment (UTC without zone)."""
        begun = self.starts is None or self.starts <= moment
        return self.enabled and begun and (self.ends is None or moment < self.ends)
