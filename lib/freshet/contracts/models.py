"""Tables of model outputs: factors, lists, neighbours, probabilities, segments."""

from pyspark.sql.types import (
    ArrayType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from freshet.contracts.features import AS_OF, ITEM, USER
from freshet.contracts.table import Column, TableContract

TEXT, WHOLE, COUNT, NUMBER, TIME = StringType(), IntegerType(), LongType(), DoubleType(), TimestampType()

MODEL_VERSION = Column("model_version", TEXT, "registered version and minor, as in 3.0", required=True)

LIST_ITEM = StructType(
    [
        StructField("position", IntegerType()),
        StructField("item_id", StringType()),
        StructField("score", DoubleType()),
        StructField("reason", StringType()),
    ]
)
"""One item of a list: position from 1; score comparable within one list only; reason in words."""

NEIGHBOUR = StructType(LIST_ITEM.fields[:3])

REASONS = (
    "bought_before", "viewed_before", "similar_to", "similar_shoppers", "taste", "popular_now", "promoted", "explored",
    "goes_with",
)  # fmt: skip
"""Starts of reasons; similar_to is followed by a colon and the item of the shopper's history, goes_with by one of the
cart. promoted: a rule has put the item there. explored: a rule has left the place to chance."""

PAGE = ArrayType(
    StructType(
        [
            StructField("placement", StringType()),
            StructField("about_item_id", StringType()),
            StructField("items", ArrayType(LIST_ITEM)),
        ]
    )
)
"""The placements of a shopper's page. about_item_id: the item that a placement is about, null for most."""

_FACTORS = Column("factors", ArrayType(FloatType()), "the vector; its length is the rank of the model", required=True)

ITEM_FACTORS = TableContract(
    name="item_factors",
    row="the vector of an item in one model",
    columns=(
        MODEL_VERSION,
        ITEM,
        Column("item_index", WHOLE, "integer id in the model", required=True),
        _FACTORS,
    ),
    key=("model_version", "item_id"),
    partition_by=("model_version",),
)

USER_FACTORS = TableContract(
    name="user_factors",
    row="the vector of a shopper in one model",
    columns=(
        MODEL_VERSION,
        USER,
        Column("user_index", WHOLE, "integer id in the model", required=True),
        _FACTORS,
    ),
    key=("model_version", "user_id"),
    partition_by=("model_version",),
)

_LIST_COLUMNS = (
    Column("generated_at", TIME, "wall time at which it was made; left out of comparisons", "UTC", required=True),
    Column("event_clock", TIME, "time to which the ages of events refer", "UTC", required=True),
    Column("generation", COUNT, "rises with every promotion and roll-back", required=True, minimum=0),
    MODEL_VERSION,
    Column("source", TEXT, "whether batch or stream made the list", required=True, allowed=("batch", "stream")),
    Column("items", ArrayType(LIST_ITEM), "the list, best first; positions 1, 2, 3 ...", required=True),
    Column(
        "recommendation_id",
        TEXT,
        "id of the list, for events with what was shown of it and what came of that; for "
        "a list of placements followed by a slash and its name",
    ),
    Column("propensities", ArrayType(NUMBER), "probability of each item at its place, in their order; null: all are 1"),
    Column("placements", PAGE, "further lists for the page, by placements.served; null without any"),
)

RECOMMENDATIONS = TableContract(
    name="recommendations",
    row="the list of a shopper from the last batch or compaction",
    columns=(USER, *_LIST_COLUMNS),
    key=("user_id",),
)

RECOMMENDATION_UPDATES = TableContract(
    name="recommendation_updates",
    row="a list made by the stream",
    columns=(
        USER,
        Column("query_id", TEXT, "id of the streaming query, from its checkpoint", required=True),
        Column("batch_id", COUNT, "micro-batch of that query", required=True, minimum=0),
        *_LIST_COLUMNS,
        Column("caused_by_event_time", TIME, "newest event in the list's history", "UTC", required=True),
        Column("caused_by_received_time", TIME, "when that event was received", "UTC", required=True),
        Column("epoch", COUNT, "number of the compaction that will merge this list", required=True, minimum=0),
    ),
    key=("user_id", "query_id", "batch_id"),
    # Lists that a compaction has merged are dropped by partition, without reading files.
    partition_by=("epoch",),
    log_days=1,
)

SIMILAR_ITEMS = TableContract(
    name="similar_items",
    row="the neighbours of an item",
    columns=(
        ITEM,
        MODEL_VERSION,
        Column("items", ArrayType(NEIGHBOUR), "neighbours, nearest first; score is a cosine", required=True),
        Column("goes_with", ArrayType(NEIGHBOUR), "what tends to follow it or to be taken with it; null: not modelled"),
    ),
    key=("item_id",),
)

SCOPE_KINDS = ("all", "category", "attribute")

POPULAR_ITEMS = TableContract(
    name="popular_items",
    row="a position in a ranked list of popular items",
    columns=(
        Column("scope_kind", TEXT, "what the scope is; attribute: of shoppers", allowed=SCOPE_KINDS),
        Column("scope", TEXT, "all, a category path, or an attribute of shoppers such as country=DE", required=True),
        Column("window", TEXT, "7d, 30d, all, or trending: the last 7 days against the 23 before", required=True),
        Column("position", WHOLE, "position in the list, from 1", required=True, minimum=1),
        ITEM,
        Column(
            "score",
            NUMBER,
            "distinct shoppers with a target event in the window, for an attribute with a share of "
            "those of all; of trending: standard deviations above the pace before",
            "shoppers",
            required=True,
        ),
        AS_OF,
    ),
    key=("scope_kind", "scope", "window", "position"),
)

USER_SCORES = TableContract(
    name="user_scores",
    row="a shopper's probability to buy, as of a date",
    columns=(
        AS_OF,
        USER,
        Column("purchase_probability", NUMBER, "probability of a purchase within the horizon",
               "probability", required=True, minimum=0, maximum=1),
        Column("horizon_days", WHOLE, "days the probability looks ahead", "days", required=True, minimum=1),
        MODEL_VERSION,
    ),
    key=("as_of", "user_id"),
    partition_by=("as_of",),
)  # fmt: skip

USER_SEGMENTS = TableContract(
    name="user_segments",
    row="a shopper's segment, as of a date",
    columns=(
        AS_OF,
        USER,
        Column("segment_id", WHOLE, "number of the segment, by falling value", required=True, minimum=0),
        Column("segment_name", TEXT, "name from the segment's profile", required=True),
        MODEL_VERSION,
    ),
    key=("as_of", "user_id"),
    partition_by=("as_of",),
)

SEGMENT_PROFILES = TableContract(
    name="segment_profiles",
    row="a segment of one model",
    columns=(
        MODEL_VERSION,
        Column("segment_id", WHOLE, "number of the segment, by falling value", required=True, minimum=0),
        Column("segment_name", TEXT, "name from the segment's profile", required=True),
        Column("size", COUNT, "shoppers in it", "shoppers", required=True, minimum=0),
        Column("recency_days", NUMBER, "mean days since the newest order or event", "days"),
        Column("orders", NUMBER, "mean orders, or events where there are no orders"),
        Column("monetary", NUMBER, "mean spend; null without prices", "currency"),
        Column("tenure_days", NUMBER, "mean days since the first event", "days"),
        Column("items_breadth", NUMBER, "mean distinct items", "items"),
    ),
    key=("model_version", "segment_id"),
)
