"""Tables of the ingested data: accepted events, refused records, states of items."""

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DoubleType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    TimestampType,
)

from freshet.contracts.table import Column, TableContract

TEXT, WHOLE, NUMBER, TIME = StringType(), IntegerType(), DoubleType(), TimestampType()

GA4_EVENT_NAMES = (
    "view_item_list", "select_item", "view_item", "add_to_wishlist", "add_to_cart", "remove_from_cart", "view_cart",
    "begin_checkout", "add_shipping_info", "add_payment_info", "purchase", "refund", "view_promotion",
    "select_promotion", "search",
)  # fmt: skip
"""Event names of the GA4 e-commerce specification; every source maps its own names to these."""

PURCHASE, REFUND = "purchase", "refund"
ADD_TO_CART, REMOVE_FROM_CART = "add_to_cart", "remove_from_cart"

IMPRESSIONS = ("view_item_list", "view_promotion")
"""Events that the shop has shown, not actions of a shopper: they are no views and do not count in features."""

EVENT_FLAGS = ("outlier_quantity", "outlier_price", "non_product", "late", "bot")

LEFT_OUT_FLAGS = ("non_product", "bot")
"""Flagged events that stay in the table and are left out of histories, features, popularity and training."""

SCHEMA_VERSION = "1"

EVENTS = TableContract(
    name="events",
    row="one accepted event and item",
    columns=(
        Column(
            "event_id",
            TEXT,
            "id of the event: that of the source, or a hash of the record's content or place",
            required=True,
        ),
        Column(
            "item_position",
            WHOLE,
            "index of the item in a record with several items",
            required=True,
            minimum=0,
        ),
        Column("event_name", TEXT, "what happened, by its GA4 name", required=True, allowed=GA4_EVENT_NAMES),
        Column("event_time", TIME, "when it happened", "UTC", required=True),
        Column("received_time", TIME, "when the shop received it (known_at)", "UTC", required=True),
        Column("user_id", TEXT, "id of the customer; null for an anonymous shopper"),
        Column("anonymous_id", TEXT, "cookie, device or session of an anonymous shopper"),
        Column("session_id", TEXT, "visit or basket in which it happened"),
        Column("item_id", TEXT, "the item; null when the source has no items"),
        Column("quantity", NUMBER, "pieces; positive also for refunds", "pieces", minimum=0),
        Column("price", NUMBER, "price of one piece", "currency", minimum=0),
        Column("currency", TEXT, "ISO 4217 code of the price; null: the home's own"),
        Column("transaction_id", TEXT, "order or invoice"),
        Column("item_list_id", TEXT, "list in which the item was shown"),
        Column("position", WHOLE, "position of the item in that list, from 1", minimum=0),
        Column("recommendation_id", TEXT, "recommendation that showed the item"),
        Column("consent_personalisation", BooleanType(), "may be used to personalise; null: not asked"),
        Column("consent_marketing", BooleanType(), "may be used for marketing; null: not asked"),
        Column("flags", ArrayType(TEXT), "what is unusual: " + ", ".join(EVENT_FLAGS), required=True),
        Column("properties", MapType(TEXT, TEXT), "further source columns, as text"),
        Column("schema_version", TEXT, "version of this contract", required=True),
        Column("source", TEXT, "name of the source mapping", required=True),
        Column("source_partition", TEXT, "file or topic partition of the raw record", required=True),
        Column("source_offset", LongType(), "row in that file (from 0) or offset", required=True, minimum=0),
    ),
    key=("event_id", "item_position"),
    partition_by=("source",),
    # A stream that reads this table continues where it stopped: the log covers the longest possible pause.
    log_days=7,
)

QUARANTINE = TableContract(
    name="quarantine",
    row="one refused raw record",
    columns=(
        Column("source", TEXT, "name of the source mapping", required=True),
        Column("source_partition", TEXT, "file or topic partition of the raw record", required=True),
        Column("source_offset", LongType(), "row in that file (from 0) or offset", required=True, minimum=0),
        Column("raw", TEXT, "the whole record as JSON", required=True),
        Column("reason_code", TEXT, "short name of the reason", required=True),
        Column("field", TEXT, "the contract column that is wrong, if it is one column"),
        Column("message", TEXT, "the reason in words, with the value found", required=True),
        Column("schema_version", TEXT, "version of the events contract", required=True),
        Column("first_seen", TIME, "as-of time of the run that refused it", "UTC", required=True),
        Column(
            "status",
            TEXT,
            "refused, or replayed after a correction",
            required=True,
            allowed=("refused", "replayed"),
        ),
        Column("replayed_as", TEXT, "event_id it became when replayed"),
    ),
    key=("source", "source_partition", "source_offset"),
    partition_by=("source",),
    log_days=1,
)

ITEMS_HISTORY = TableContract(
    name="items_history",
    row="one state of an item",
    columns=(
        Column("item_id", TEXT, "the item", required=True),
        Column("valid_from", TIME, "first time of this state", "UTC", required=True),
        Column("valid_to", TIME, "first time of the next state; null while it holds", "UTC"),
        Column("known_at", TIME, "when this state became known", "UTC", required=True),
        Column("name", TEXT, "name shown to people"),
        Column("category_path", TEXT, "category, levels separated by ' > '"),
        Column("brand", TEXT, "brand"),
        Column("price", NUMBER, "price of one piece", "currency", minimum=0),
        Column("available", BooleanType(), "can be bought; null: unknown, counts as available"),
        Column("attributes", MapType(TEXT, TEXT), "further attributes, as text"),
    ),
    key=("item_id", "valid_from"),
    log_days=1,
)

ITEM_STATE = tuple(name for name in ITEMS_HISTORY.column_names if name not in ("valid_from", "valid_to", "known_at"))
"""The columns of a state of an item, without its times."""

CATEGORY_LEVELS = " > "
"""Between the levels of a category path."""
