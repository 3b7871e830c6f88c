"""Tables of figures and decisions: evaluation, the gate, the stream's progress, data quality."""

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

TEXT, WHOLE, COUNT, NUMBER, TIME = StringType(), IntegerType(), LongType(), DoubleType(), TimestampType()

TASKS = ("next_baskets", "new_items", "propensity", "segments", "live")
"""next_baskets: repeats allowed; new_items: items that a shopper had before are neither candidates nor truth."""

PROTOCOLS = ("time_split", "leave_last_basket", "next_in_session")
"""How lists are judged: on what a shopper had in a window, from what was known before it; on the window's last basket,
from what was known before its visit; or on that, from what was known before the basket."""

EVALUATION_RESULTS = TableContract(
    name="evaluation_results",
    row="one figure",
    columns=(
        Column("run_id", TEXT, "run that computed it", required=True),
        Column("task", TEXT, "the prediction task", required=True, allowed=TASKS),
        Column("model", TEXT, "model, baseline or list that is evaluated", required=True),
        Column("metric", TEXT, "such as ndcg, recall, auc", required=True),
        Column("k", WHOLE, "list length; 0 for metrics without one", required=True, minimum=0),
        Column("value", NUMBER, "the figure"),
        Column("low", NUMBER, "lower end of the 95 % bootstrap interval over shoppers"),
        Column("high", NUMBER, "upper end of that interval"),
        Column("users", COUNT, "shoppers judged", "shoppers", required=True, minimum=0),
        Column("split", TEXT, "validation, test or live", required=True, allowed=("validation", "test", "live")),
        Column("protocol", TEXT, "how next_baskets and new_items were judged; null for other tasks", allowed=PROTOCOLS),
    ),
    key=("run_id", "task", "model", "metric", "k", "split"),
)

AUDIT_RESULTS = TableContract(
    name="audit_results",
    row="one figure of a group of shoppers, or of items in lists",
    columns=(
        Column("run_id", TEXT, "run that computed it", required=True),
        Column("split", TEXT, "validation or test", required=True, allowed=("validation", "test")),
        Column("task", TEXT, "the prediction task", required=True, allowed=TASKS),
        Column("model", TEXT, "list that is judged", required=True),
        Column("audit", TEXT, "what shoppers or items are grouped by", required=True),
        Column("group", TEXT, "the group, such as 3 to 7, a value, unknown or others", required=True),
        Column(
            "metric",
            TEXT,
            "ndcg, hit; of items: exposure_share, purchase_share, exposure_ratio, popularity_lift",
            required=True,
        ),
        Column("k", WHOLE, "list length", required=True, minimum=1),
        Column("value", NUMBER, "mean over the group's shoppers, or the figure of items; null without purchases"),
        Column("low", NUMBER, "lower end of the 95 % bootstrap interval over shoppers"),
        Column("high", NUMBER, "upper end of that interval"),
        Column(
            "users",
            COUNT,
            "shoppers of the group, or with lists, who were judged",
            "shoppers",
            required=True,
            minimum=0,
        ),
    ),
    key=("run_id", "split", "task", "model", "audit", "group", "metric", "k"),
)

MODEL_DECISIONS = TableContract(
    name="model_decisions",
    row="one decision of the gate, or of a person",
    columns=(
        Column("decided_at", TIME, "wall time of the decision", "UTC", required=True),
        Column("model_name", TEXT, "registered model", required=True),
        Column("model_version", TEXT, "version judged", required=True),
        Column("champion_version", TEXT, "champion it was compared with; null for the first"),
        Column("accepted", BooleanType(), "promoted or not", required=True),
        Column("reasons", ArrayType(TEXT), "why, in words", required=True),
        Column("metrics", MapType(TEXT, DoubleType()), "the figures that were compared", required=True),
    ),
    key=("model_name", "model_version", "decided_at"),
)

STREAM_JOBS = ("events", "items", "lists")
"""events: records of events are ingested; items: records about items are ingested; lists: lists are made."""

_MICRO_BATCH = (
    Column("query_id", TEXT, "id of the streaming query", required=True),
    Column("batch_id", COUNT, "micro-batch", required=True, minimum=0),
    Column("job", TEXT, "what the query does", required=True, allowed=STREAM_JOBS),
    Column("finished_at", TIME, "wall time of its end", "UTC", required=True),
    Column("event_clock", TIME, "newest event time so far", "UTC"),
    Column("input", COUNT, "records that were read; null for lists", "records", minimum=0),
    Column("accepted", COUNT, "records that became events or states of items; null for lists", "records", minimum=0),
    Column("quarantined", MapType(TEXT, COUNT), "refused records by reason code", "records"),
    Column("touched_shoppers", COUNT, "shoppers with new events", "shoppers", required=True, minimum=0),
    Column("lists", COUNT, "lists written", "lists", required=True, minimum=0),
    Column(
        "unknown_items",
        COUNT,
        "history entries with items the model does not know",
        "entries",
        required=True,
        minimum=0,
    ),
    Column(
        "state_shoppers",
        COUNT,
        "shoppers in the state, with anonymous ones; only for lists, else null",
        "shoppers",
        minimum=0,
    ),
    Column(
        "backlog",
        COUNT,
        "records that waited in the topic after the previous micro-batch; null for other sources",
        "records",
        minimum=0,
    ),
    Column("latency_p50_s", NUMBER, "median time from an event's receipt to its list being readable", "s"),
    Column("latency_p95_s", NUMBER, "the 95th percentile of that", "s"),
    Column("seconds", NUMBER, "time from the batch's start to its rows being readable", "s", required=True, minimum=0),
    Column("model_version", TEXT, "model that made the lists; null if there was none"),
)

STREAM_METRICS = TableContract(
    name="stream_metrics", row="one micro-batch", columns=_MICRO_BATCH, key=("query_id", "batch_id"), log_days=1
)

QUALITY_METRICS = TableContract(
    name="quality_metrics",
    row="one check of the data",
    columns=(
        Column("checked_at", TIME, "as-of time of the run that checked", "UTC", required=True),
        Column("table", TEXT, "table the figure is about", required=True),
        Column("check", TEXT, "what was counted or measured", required=True),
        Column("value", NUMBER, "the figure", required=True),
        Column("detail", TEXT, "the limit or rule behind it, in words"),
    ),
    key=("checked_at", "table", "check"),
)
