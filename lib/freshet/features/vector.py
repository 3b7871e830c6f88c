"""Turns user features into model input: numbers that are never null, on scales on which distances are meaningful.

Money, counts and times have long tails, so linear models and distances use their logarithms. Steps that depend on
the data (scaling, products, seasons) are fitted with the model and belong to its pipeline, not here.
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
"""Input columns of the propensity model, by their names in `model_input`."""

SEGMENT_COLUMNS: tuple[str, ...] = ("log_recency_days", "log_orders", "log_monetary")
"""Silence, frequency and value: the columns for segments where shoppers have orders with prices."""

SEGMENT_COLUMNS_WITHOUT_ORDERS: tuple[str, ...] = ("log_idle_days", "log_events_365d", "log_items_breadth")
"""The columns for segments of a source without orders: silence, frequency and breadth."""


def model_input(features: DataFrame) -> DataFrame:
    """`features` (contract USER_FEATURES) with PROPENSITY_COLUMNS added: doubles that are never null.

    log_x is sign(x) * log(1 + |x|). A recency that is null (no order yet) is filled with the tenure, as there was no
    order for at least that long; other nulls become 0. no_x is 1 where x was null, else 0. `share_returned` is the
    return rate. `overdue` is log_recency_days minus log_mean_gap_days, above 0 for a shopper who is later than usual,
    0 where no gap is known. No row is lost or added.
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
