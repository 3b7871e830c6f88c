"""Groups of shoppers or items for an audit: by quantiles of a number, or by the values of an attribute."""

from collections import Counter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.core.errors import InputError

UNKNOWN = "unknown"
"""The group of all without a value."""

OTHERS = "others"
"""The group of all values that are too rare for a group of their own."""


def quantile_groups(values: NDArray[np.float64], *, groups: int) -> pa.Array:
    """[values] The group of each number, named after its smallest and largest member, such as "3 to 7".

    At most `groups` groups of about equal size; equal numbers are always in the same group, so that there can be fewer.
    NaN and infinite numbers are in group UNKNOWN. Raises InputError for fewer than one group.
    """
    _check_number(groups)
    known = np.isfinite(values)
    names = np.full(len(values), UNKNOWN, dtype=object)
    if known.any():
        numbers = values[known]
        steps = np.arange(1, groups + 1) / groups
        ends = np.unique(np.quantile(numbers, steps, method="inverted_cdf"))
        group = np.searchsorted(ends, numbers, side="left")
        spans = [_span(numbers[group == one]) for one in range(len(ends))]
        names[known] = np.array(spans, dtype=object)[group]
    return pa.array(names, pa.string())


def value_groups(values: pa.Array, *, at_most: int) -> pa.Array:
    """[values] The group of each text: the text itself for the `at_most` most frequent ones, else OTHERS.

    Null and blank texts are in group UNKNOWN, which is not counted. Of equally frequent texts the first in the
    alphabet is kept. Texts that are "unknown" or "others" themselves join these groups. Raises InputError for fewer
    than one group.
    """
    _check_number(at_most)
    texts = [text if text is not None and text.strip() else UNKNOWN for text in values.to_pylist()]
    counts = Counter(text for text in texts if text not in (UNKNOWN, OTHERS))
    kept = {UNKNOWN, *sorted(counts, key=lambda text: (-counts[text], text))[:at_most]}
    return pa.array([text if text in kept else OTHERS for text in texts], pa.string())


def _span(numbers: NDArray[np.float64]) -> str:
    low, high = f"{numbers.min():.10g}", f"{numbers.max():.10g}"
    return low if low == high else f"{low} to {high}"


def _check_number(groups: int) -> None:
    if groups < 1:
        raise InputError("an audit needs at least one group", where="audits", found=f"{groups} groups")
