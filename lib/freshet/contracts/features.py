"""Tables of features of shoppers and items as of a date."""

from pyspark.sql.types import DoubleType, LongType, StringType, TimestampType

from freshet.contracts.table import Column, TableContract

TEXT, NUMBER, COUNT, TIME = StringType(), DoubleType(), LongType(), TimestampType()

FEATURE_WINDOWS_DAYS = (30, 90, 365)
"""Windows of the feature tables, counted back from as_of."""

POPULARITY_WINDOWS_DAYS = (7, 14, 30, 90, 365)
"""Windows in which the shoppers of an item are counted, back from as_of."""


def _number(name: str, meaning: str, unit: str = "", minimum: float | None = 0) -> Column:
    return Column(name, NUMBER, meaning, unit, minimum=minimum)


def _count(name: str, meaning: str, unit: str = "") -> Column:
    return Column(name, COUNT, meaning, unit, required=True, minimum=0)


AS_OF = Column("as_of", TIME, "only events that happened and were known before this time count", "UTC", required=True)
USER = Column("user_id", TEXT, "shopper; anonymous ones start with anon:", required=True)
ITEM = Column("item_id", TEXT, "the item", required=True)

INTERACTIONS = TableContract(
    name="interactions",
    row="a shopper and an item, as of a date, by events that have a weight in the settings",
    columns=(
        AS_OF,
        USER,
        ITEM,
        _count("views", "view_item and select_item events", "events"),
        _count("carts", "add_to_cart, begin_checkout and add_to_wishlist events", "events"),
        _count("purchases", "distinct orders with this item", "orders"),
        _count("refunds", "distinct refunds of this item", "refunds"),
        _number("quantity", "pieces bought minus pieces returned", "pieces", minimum=None),
        Column("first_time", TIME, "first event", "UTC", required=True),
        Column("last_time", TIME, "newest event", "UTC", required=True),
        Column("strength", NUMBER, "decayed weighted sum of events; never below 0", required=True, minimum=0),
    ),
    key=("as_of", "user_id", "item_id"),
    partition_by=("as_of",),
)

USER_FEATURES = TableContract(
    name="user_features",
    row="a shopper as of a date; impressions (view_item_list, view_promotion) and events of bots do not count",
    columns=(
        AS_OF,
        USER,
        _number("recency_days", "days since the newest order; null when there is none", "days"),
        _number("idle_days", "days since the newest event of any kind", "days"),
        _count("orders", "distinct orders", "orders"),
        _number("monetary", "spend minus refunds; may be negative", "the home's currency", minimum=None),
        _number("tenure_days", "days since the first event", "days"),
        _number("mean_gap_days", "mean days between order days; null under two order days", "days"),
        _number("sd_gap_days", "standard deviation of those gaps; null under three order days", "days"),
        _count("items_breadth", "distinct items with an event", "items"),
        _number("mean_basket_items", "distinct items per order; null without orders", "items"),
        _count("refunds", "distinct refunds", "refunds"),
        _number("return_rate", "refunds / (refunds + orders); null when both are 0", "share"),
        _count("views", "view events", "events"),
        _count("carts", "cart and wish-list events", "events"),
        *[_count(f"events_{d}d", f"events in the last {d} days", "events") for d in FEATURE_WINDOWS_DAYS],
        *[_count(f"orders_{d}d", f"distinct orders in the last {d} days", "orders") for d in FEATURE_WINDOWS_DAYS],
        *[
            _number(f"monetary_{d}d", f"spend minus refunds in the last {d} days", "the home's currency", minimum=None)
            for d in FEATURE_WINDOWS_DAYS
        ],
        *[_count(f"items_{d}d", f"distinct items in the last {d} days", "items") for d in FEATURE_WINDOWS_DAYS],
    ),
    key=("as_of", "user_id"),
    partition_by=("as_of",),
)

ITEM_FEATURES = TableContract(
    name="item_features",
    row="an item as of a date; impressions (view_item_list, view_promotion) and events of bots do not count",
    columns=(
        AS_OF,
        ITEM,
        *[
            _count(f"shoppers_{d}d", f"distinct shoppers with a target event in the last {d} days", "shoppers")
            for d in POPULARITY_WINDOWS_DAYS
        ],
        _count("shoppers", "distinct shoppers with a target event, all time", "shoppers"),
        _number(
            "trend",
            "log((1 + 76/14 * shoppers_14d) / (1 + distinct shoppers of the 76 days before those 14))",
            minimum=None,
        ),
        _number(
            "price", "median price paid in the newest 90 days with sales; null without prices", "the home's currency"
        ),
        _number("return_rate", "refunds / (refunds + purchases); null when both are 0", "share"),
        _number("repeat_rate", "share of its buyers with two orders or more; null without buyers", "share"),
        Column("first_seen", TIME, "first event", "UTC", required=True),
        Column("last_seen", TIME, "newest target event; null when there is none", "UTC"),
    ),
    key=("as_of", "item_id"),
    partition_by=("as_of",),
)
