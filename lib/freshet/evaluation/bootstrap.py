"""Means over shoppers with bootstrap intervals, repeatable.

Poisson bootstrap (Chamandy et al., "Estimating uncertainty for massive data streams", 2012): in every resample each
shopper has a weight drawn from Poisson(1), so that no resample needs a total count. The weights are a function of
shopper, resample and seed alone: they do not depend on the order of rows, and all metrics and models of one shopper
share them, which makes differences comparable.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import Column
from pyspark.sql import functions as F

from freshet.core.errors import InputError

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))
_DRAWS_PER_HASH = 4

_SHOPPERS_AT_ONCE = 4_096
"""Shoppers of a block; their weights in 1,000 resamples are 33 MB."""

_GRID = 2.0**32
"""Values are rounded to multiples of 1 / _GRID: sums of up to two million shoppers' values between -1 and 1 are then
exact in double precision, whatever the order of the addition. The rounding is far below any interval's width."""


def user_hash(seed: int) -> Column:
    """The key of a shopper's weights: a 64-bit hash of column user_id and the seed."""
    return F.xxhash64("user_id", F.lit(seed))


def with_intervals(values: pa.Table, *, by: Sequence[str], samples: int, level: float = 0.95) -> list[dict[str, Any]]:
    """(*by, value, low, high, users) per group in order of `by`: mean of `value` and percentile interval at `level`.

    `values` is (*by, user_hash, value double), at most one row per group and shopper. Null values are left out; they
    are not counted in `users`. The ends are quantiles (linear interpolation) of the means of `samples` resamples; null
    when every resample is empty, as can be with one shopper. Empty input gives no groups. Raises InputError for less
    than one sample.
    """
    if samples < 1:
        raise InputError("a bootstrap needs at least one sample", where="evaluation", found=f"samples {samples}")
    known = values.filter(pc.is_valid(values.column("value")))
    if not known.num_rows:
        return []
    first_rows, group = _groups(known, by)
    rounded = np.round(known.column("value").to_numpy() * _GRID) / _GRID
    users = np.bincount(group)
    means = np.bincount(group, rounded) / users
    ends = _resampled_ends(known.column("user_hash").to_numpy(), group, rounded, samples, level)
    # A table without columns has no rows.
    keys = known.select(list(by)).take(pa.array(first_rows)).to_pylist() if by else [{}]
    figures = [
        {**key, "value": float(mean), "low": low, "high": high, "users": int(count)}
        for key, mean, count, (low, high) in zip(keys, means, users, ends, strict=True)
    ]
    return sorted(figures, key=lambda figure: [figure[name] for name in by])


def _resampled_ends(
    hashes: NDArray[np.int64], group: NDArray[np.int64], values: NDArray[np.float64], samples: int, level: float
) -> list[tuple[float | None, float | None]]:
    """Per group the ends of the interval, from sums over all shoppers of weight * value and of weights."""
    shoppers, shopper = np.unique(hashes.view(np.uint64), return_inverse=True)
    groups = int(group.max()) + 1
    sums, weights = np.zeros((groups, samples)), np.zeros((groups, samples))
    for start in range(0, len(shoppers), _SHOPPERS_AT_ONCE):
        stop = min(start + _SHOPPERS_AT_ONCE, len(shoppers))
        drawn = poisson_weights(shoppers[start:stop], samples).astype(np.float64)
        mine = (shopper >= start) & (shopper < stop)
        value_of, known = np.zeros((2, groups, stop - start))
        place = (group[mine], shopper[mine] - start)
        value_of[place], known[place] = values[mine], 1.0
        sums += value_of @ drawn
        weights += known @ drawn
    ends: list[tuple[float | None, float | None]] = []
    for total, weight in zip(sums, weights, strict=True):
        means = total[weight > 0] / weight[weight > 0]
        low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2]).tolist() if len(means) else (None, None)
        ends.append((low, high))
    return ends


def poisson_weights(user_hashes: NDArray[np.uint64], samples: int) -> NDArray[np.uint8]:
    """[shoppers, samples] draws from Poisson(1), the same for equal hashes.

    Each shopper's draws are 16-bit pieces of the SplitMix64 stream (Steele, Lea and Flood 2014) that starts at the
    hash, looked up in the distribution's quantiles; probabilities are thus accurate to 2^-16.
    """
    hashes_needed = -(-samples // _DRAWS_PER_HASH)
    state = user_hashes[:, None] + _STEP * np.arange(1, hashes_needed + 1, dtype=np.uint64)[None, :]
    for shift, factor in _MIX:
        state = (state ^ (state >> shift)) * factor
    state ^= state >> np.uint64(31)
    return _POISSON_QUANTILES[state.view(np.uint16)][:, :samples]


def _poisson_quantiles() -> NDArray[np.uint8]:
    """The Poisson(1) quantile of the middle of each of 65,536 equal slices of probability."""
    cumulated = np.cumsum([math.exp(-1.0) / math.factorial(count) for count in range(16)])
    slices = (np.arange(65_536) + 0.5) / 65_536
    return np.searchsorted(cumulated, slices).astype(np.uint8)


_POISSON_QUANTILES = _poisson_quantiles()


def _groups(table: pa.Table, by: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first row of each group of equal keys, and each row's group."""
    codes = np.zeros(table.num_rows, dtype=np.int64)
    for name in by:
        encoded = table.column(name).combine_chunks().dictionary_encode()
        codes = codes * len(encoded.dictionary) + encoded.indices.to_numpy(zero_copy_only=False)
    _, first_rows, group = np.unique(codes, return_index=True, return_inverse=True)
    return first_rows, group
