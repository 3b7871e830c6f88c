"""From user features to numbers that models can take: never null, and on scales on which distances mean much.

Money, counts and times have long tails: their logarithm is what a linear model and a distance need. What depends on
the data (scaling, products, seasons) is fitted with the model and belongs to its pipeline, not here.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.contracts.features import FEATURE_WINDOWS_DAYS

_ALWAYS_KNOWN = (
    "idle_days", "tenure_days", "orders", "refunds", "items_breadth", "views", "carts",
    *[f"{name}_{days}d" for name in ("events", "orders", "items") for days in FEATURE_WINDOWS_DAYS],
)  # fmt: skip
_MONEY = ("monetary", *[f"monetary_{days}d" for days in FEATURE_WINDOWS_DAYS])
_UNKNOWN_WITHOUT_ORDERS = ("mean_gap_days", "sd_gap_days", "mean_basket_items")
_MISSING = ("recency_days", "monetary", "mean_gap_days", "sd_gap_days")

PROPENSITY_COLUMNS: tuple[str, ...] = (
    "log_recency_days",
    *[f"log_{name}" for name in (*_ALWAYS_KNOWN, *_MONEY, *_UNKNOWN_WITHOUT_ORDERS)],
    "share_returned",
    "overdue",
    *[f"no_{name}" for name in _MISSING],
)
"""What the propensity model looks at, as `model_input` names it."""

SEGMENT_COLUMNS: tuple[str, ...] = ("log_recency_days", "log_orders", "log_monetary")
"""Silence, frequency and value: what segments are made of where shoppers have orders with prices."""

SEGMENT_COLUMNS_WITHOUT_ORDERS: tuple[str, ...] = ("log_idle_days", "log_events_365d", "log_items_breadth")
"""The like where a source has no orders: silence, frequency and breadth."""


def model_input(features: DataFrame) -> DataFrame:
    """`features` (contract USER_FEATURES) with PROPENSITY_COLUMNS added: doubles that are never null.

    log_x is sign(x) * log(1 + |x|). A recency that is null (no order yet) is filled with the tenure: that long at
    least there was no order; other nulls become 0. no_x is 1 where x was null, else 0. `share_returned` is the return
    rate. `overdue` is log_recency_days less log_mean_gap_days, above 0 for a shopper who is later than usual, 0 where
    no gap is known. No row is lost or added.
    """
    recency = F.coalesce(F.col("recency_days"), F.col("tenure_days"))
    logs = {f"log_{name}": _signed_log(F.col(name)) for name in (*_ALWAYS_KNOWN, *_MONEY, *_UNKNOWN_WITHOUT_ORDERS)}
    overdue = _signed_log(recency) - _signed_log(F.col("mean_gap_days"))
    return features.withColumns(
        {
            "log_recency_days": _signed_log(recency),
            **logs,
            "share_returned": F.coalesce(F.col("return_rate"), F.lit(0.0)),
            "overdue": F.when(F.col("mean_gap_days").isNotNull(), overdue).otherwise(0.0),
            **{f"no_{name}": F.col(name).isNull().cast("double") for name in _MISSING},
        }
    )


def _signed_log(value: Column) -> Column:
    known = F.coalesce(value.cast("double"), F.lit(0.0))
    return F.signum(known) * F.log1p(F.abs(known))
