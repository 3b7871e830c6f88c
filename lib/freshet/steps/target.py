"""Which event a source's models aim at."""

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts.shoppers import shopper_id
from freshet.errors import DataTooSmallError
from freshet.evaluation.parameters import EvaluationParameters
from freshet.splitting import known_before


def target_event(events: DataFrame, cut: datetime, params: EvaluationParameters) -> str:
    """The strongest event name, in the settings' order, that at least `min_target_users` shoppers had before `cut`.

    Where none is frequent enough, the most frequent of them. Raises DataTooSmallError when there is none at all.
    """
    counted = (
        known_before(events, cut)
        .where(F.col("event_name").isin(*params.target_order))
        .groupBy("event_name")
        .agg(F.approx_count_distinct(shopper_id()).alias("shoppers"))
        .collect()
    )
    shoppers = {row["event_name"]: row["shoppers"] for row in counted}
    if not shoppers:
        raise DataTooSmallError(f"no event before {cut:%Y-%m-%d %H:%M} is one of {', '.join(params.target_order)}")
    frequent = [name for name in params.target_order if shoppers.get(name, 0) >= params.min_target_users]
    return frequent[0] if frequent else max(shoppers, key=lambda name: shoppers[name])
