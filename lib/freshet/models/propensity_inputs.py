"""From feature columns to the vector that the logistic regression sees, as pipeline stages saved with the model."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyspark.ml import Estimator, Transformer
from pyspark.ml.feature import (
    OneHotEncoder,
    PolynomialExpansion,
    SQLTransformer,
    StandardScaler,
    VectorAssembler,
)

from freshet.models.cuts import DAYS_PER_YEAR

if TYPE_CHECKING:
    from freshet.models.propensity import PropensityParameters

FEATURES = "_features"

_MICROSECONDS_PER_YEAR = int(DAYS_PER_YEAR * 86_400 * 1_000_000)


def input_stages(
    columns: list[str], *, anchor: datetime, params: "PropensityParameters"
) -> list[Estimator[Any] | Transformer]:
    """Stages that turn as_of, user_id and `columns` into column FEATURES: scaled, with products and season.

    Squares and products of the crossed columns (those of them in `columns`) are taken of scaled values: of raw ones
    they would almost repeat the columns themselves. A season is a part of the year counted from `anchor`, so that
    `anchor` stands in the middle of its season and not at an edge.
    """
    crossed = [name for name in params.crossed_columns if name in columns]
    stages: list[Estimator[Any] | Transformer] = []
    parts = [name for name in columns if name not in crossed]
    if crossed:
        stages += [
            VectorAssembler(inputCols=crossed, outputCol="_crossed"),
            _scaler("_crossed", "_crossed_scaled"),
            PolynomialExpansion(degree=2, inputCol="_crossed_scaled", outputCol="_products"),
        ]
        parts.append("_products")
    if params.seasons > 1:
        stages += [
            SQLTransformer(statement=f"SELECT *, {_season(anchor, params.seasons)} AS _season FROM __THIS__"),
            # A season that was never learned adds nothing.
            OneHotEncoder(inputCol="_season", outputCol="_season_flags", handleInvalid="keep"),
        ]
        parts.append("_season_flags")
    return [*stages, VectorAssembler(inputCols=parts, outputCol="_raw"), _scaler("_raw", FEATURES)]


def _scaler(source: str, target: str) -> StandardScaler:
    return StandardScaler(withMean=True, withStd=True, inputCol=source, outputCol=target)


def _season(anchor: datetime, seasons: int) -> str:
    """SQL: the season of as_of, 0 to seasons - 1; 0 is the one around `anchor`."""
    moment = anchor if anchor.tzinfo else anchor.replace(tzinfo=UTC)
    micros = int(moment.timestamp()) * 1_000_000
    years = f"(unix_micros(as_of) - {micros}) / {_MICROSECONDS_PER_YEAR}"
    return f"cast(pmod(round({years} * {seasons}), {seasons}) as double)"
