"""Turns feature columns into the input vector of the logistic regression: as arrays for training, as stages to score.

Both give the same numbers in the same order: plain columns, crossed columns in deviations from their mean, squares
and products of these, and a flag for each season.
"""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from pyspark.ml import Transformer
from pyspark.ml.feature import SQLTransformer, VectorAssembler

from freshet.models.mllib import standardized_sql
from freshet.models.propensity.cuts import DAYS_PER_YEAR
from freshet.numeric.blocks import Floats, Moments

FEATURES = "_features"

_MICROSECONDS_PER_YEAR = int(DAYS_PER_YEAR * 86_400 * 1_000_000)


@dataclass(frozen=True)
class Inputs:
    """The elements of the vector.

    `columns` are numbers that are never null. Squares and products of the `crossed` ones use scaled values: those of
    raw values would almost repeat the columns themselves. A season is a part of the year counted from `anchor`, which
    is in the middle of its season and not at an edge; 0 or 1 `seasons`: none. A season without training rows adds
    nothing.
    """

    columns: tuple[str, ...]
    crossed: tuple[str, ...]
    seasons: int
    anchor: datetime

    @property
    def plain(self) -> tuple[str, ...]:
        """The columns that enter the vector unchanged."""
        return tuple(name for name in self.columns if name not in self.crossed)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The index pairs of crossed columns that are multiplied, squares included."""
        return list(itertools.combinations_with_replacement(range(len(self.crossed)), 2))

    @property
    def flags(self) -> int:
        """The number of season flags."""
        return self.seasons if self.seasons > 1 else 0

    def vectors(self, values: Floats, moments: NDArray[np.int64], known: Moments) -> Floats:
        """A row per row of `values` (n x columns) and `moments` (as_of, microseconds since 1970).

        `known` are the moments of the crossed columns.
        """
        at = {name: index for index, name in enumerate(self.columns)}
        plain = values[:, [at[name] for name in self.plain]]
        scaled = (values[:, [at[name] for name in self.crossed]] - known.mean) / known.scale
        products = [scaled[:, left] * scaled[:, right] for left, right in self.pairs]
        flags = self._season(moments)[:, None] == np.arange(self.flags)
        return np.column_stack([plain, scaled, *products, flags.astype(np.float64)])

    def stages(self, known: Moments) -> list[Transformer]:
        """The same as pipeline stages: from as_of and `columns` to vector column FEATURES."""
        crossed = zip(self.crossed, known.mean.tolist(), known.scale.tolist(), strict=True)
        scaled = [standardized_sql(*column) for column in crossed]
        made = {f"_scaled_{n}": text for n, text in enumerate(scaled)}
        made |= {f"_product_{i}_{j}": f"{scaled[i]} * {scaled[j]}" for i, j in self.pairs}
        made |= {f"_season_{n}": f"cast({self._season_sql()} = {n} as double)" for n in range(self.flags)}
        texts = ", ".join(["*", *[f"{text} AS {name}" for name, text in made.items()]])
        return [
            SQLTransformer(statement=f"SELECT {texts} FROM __THIS__"),
            VectorAssembler(inputCols=[*self.plain, *made], outputCol=FEATURES),
        ]

    @property
    def _anchor_micros(self) -> int:
        moment = self.anchor if self.anchor.tzinfo else self.anchor.replace(tzinfo=UTC)
        return int(moment.timestamp()) * 1_000_000

    def _season(self, moments: NDArray[np.int64]) -> Floats:
        """The season of each moment, 0 to seasons - 1; 0 is the one around the anchor."""
        parts = (moments - self._anchor_micros) / _MICROSECONDS_PER_YEAR * max(1, self.seasons)
        return np.mod(np.sign(parts) * np.floor(np.abs(parts) + 0.5), max(1, self.seasons))

    def _season_sql(self) -> str:
        years = f"(unix_micros(as_of) - {self._anchor_micros}) / {_MICROSECONDS_PER_YEAR}"
        return f"pmod(round({years} * {self.seasons}), {self.seasons})"
