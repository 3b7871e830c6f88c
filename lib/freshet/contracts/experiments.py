"""Tables of experiments: what arms have done and what is decided, and what lists have earned."""

from pyspark.sql.types import ArrayType, DoubleType, LongType, StringType, TimestampType

from freshet.contracts.table import Column, TableContract

TEXT, COUNT, NUMBER, TIME = StringType(), LongType(), DoubleType(), TimestampType()

DECISIONS = ("ship", "stop", "continue", "invalid")
"""invalid: the arms have the wrong sizes, so that no figure can be believed."""

TOUCH_MODELS = ("last_touch", "shared_touch")

EXPERIMENT_RESULTS = TableContract(
    name="experiment_results",
    row="a metric of an arm of an experiment",
    columns=(
        Column("experiment", TEXT, "name of the experiment", required=True),
        Column("arm", TEXT, "name of the arm; the one without a decision is the control", required=True),
        Column("metric", TEXT, "the metric that decides, or that of a guard-rail", required=True),
        Column("shoppers", COUNT, "shoppers of the arm whom the experiment has reached", "shoppers", required=True,
               minimum=0),
        Column("value", NUMBER, "mean of the metric in the arm; null without shoppers, or lists where it is per list"),
        Column("difference", NUMBER, "minus that of the control, corrected by what shoppers did before the start"),
        Column("low", NUMBER, "lower end of the interval of the difference, valid at every look; null: not known"),
        Column("high", NUMBER, "upper end of that interval"),
        Column("variance_kept", NUMBER, "share of the difference's variance that the correction leaves", "share"),
        Column("sample_ratio_p", NUMBER, "probability of such sizes of the arms by chance, at any look", "probability",
               required=True, minimum=0, maximum=1),
        Column("decision", TEXT, "the decision about the arm; null for the control", allowed=DECISIONS),
        Column("reasons", ArrayType(TEXT), "why, in words; empty for the control", required=True),
        Column("events_until", TIME, "events before this time are counted", "UTC", required=True),
        Column("measured_at", TIME, "wall time of the measurement", "UTC", required=True),
    ),
    key=("experiment", "arm", "metric"),
)  # fmt: skip

LIST_OUTCOMES = TableContract(
    name="list_outcomes",
    row="what a list that was shown has earned, by one touch model",
    columns=(
        Column("recommendation_id", TEXT, "the list", required=True),
        Column("model", TEXT, "last_touch: an order line counts for the list touched last; shared_touch: for all alike",
               required=True, allowed=TOUCH_MODELS),
        Column("first_seen", TIME, "first event with this list", "UTC", required=True),
        Column("impressions", COUNT, "different items shown", "items", required=True, minimum=0),
        Column("clicks", COUNT, "different items clicked", "items", required=True, minimum=0),
        Column("orders", NUMBER, "orders that count for it, in parts where lists share one", "orders", required=True,
               minimum=0),
        Column("revenue", NUMBER, "price of the lines that count for it", "currency", required=True, minimum=0),
    ),
    key=("recommendation_id", "model"),
)  # fmt: skip
