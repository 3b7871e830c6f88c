"""How much is known of items, and the probabilities with which those are drawn of which too little is known."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import gamma

EVIDENCE_DAYS = 90

SHOPPERS, DAYS = "shoppers", "days"
"""What is known of an item: its distinct shoppers of the last 90 days, and the days of these in which it could have
had them."""

_ENOUGH_SHOPPERS = 20
"""With so many shoppers the rate of an item is known within a quarter, and there is little to learn."""

_PRIOR_SHOPPERS = 0.5
"""Shoppers that every item is thought to have had before, at the mean rate of the catalogue."""

_FLOOR = 0.1
"""Part of the probability that all items that are not yet known share equally: without it, estimates for those that
seem poor would rest on very few draws."""

_GRID = 2_000


def item_evidence(features: pa.Table, *, days_known: NDArray[np.floating]) -> dict[str, NDArray[np.float32]]:
    """SHOPPERS and DAYS [items], for rows of contract ITEM_FEATURES, in their order; `days_known`: since the first
    event of each item."""
    shoppers = features.column(f"shoppers_{EVIDENCE_DAYS}d").cast(pa.float32()).to_numpy()
    return {SHOPPERS: shoppers, DAYS: np.clip(days_known, 0, EVIDENCE_DAYS).astype(np.float32)}


def exploration_weights(shoppers: NDArray[np.float32], days: NDArray[np.float32]) -> NDArray[np.float64]:
    """[items]: the probability with which each item is drawn, adding up to 1; 0 for all if every item is well known.

    Items with fewer than 20 shoppers in the last 90 days are drawn by Thompson sampling (Thompson 1933; Chapelle and Li
    2011): with the probability that it is the one with the highest rate of shoppers per day. The rate has a Gamma
    distribution, conjugate to Poisson counts: shape 0.5 + shoppers, rate 0.5 / mean + days, where the mean is that of
    all items. So an item that came in yesterday is likely, and one that nobody has wanted for 90 days is not. A tenth
    of the probability is shared equally by these items.
    """
    found = np.zeros(len(shoppers))
    unsure = np.flatnonzero(shoppers < _ENOUGH_SHOPPERS)
    if not len(unsure):
        return found
    mean = max(float(shoppers.sum(dtype=np.float64)), 1.0) / max(float(days.sum(dtype=np.float64)), 1.0)
    # Whole days, so that thousands of items are few different ones.
    kinds, kind, count = np.unique(
        np.stack([shoppers[unsure], np.ceil(days[unsure])], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    best = _probabilities_of_best(
        _PRIOR_SHOPPERS + kinds[:, 0].astype(np.float64), _PRIOR_SHOPPERS / mean + kinds[:, 1].astype(np.float64), count
    )
    of_item = best[kind.ravel()]
    found[unsure] = (1 - _FLOOR) * of_item / of_item.sum() + _FLOOR / len(unsure)
    return found


def _probabilities_of_best(
    shape: NDArray[np.float64], rate: NDArray[np.float64], count: NDArray[np.int64]
) -> NDArray[np.float64]:
    """[kinds]: the probability that one item of a kind has the largest value among all, where `count` items of each
    kind have independent Gamma distributions: the integral of its density times the distribution functions of all
    others."""
    top = float(gamma.isf(1e-9 / count.sum(), shape, scale=1 / rate).max())
    # Middles of equal steps of the square root: densities are steep near 0.
    edges = np.linspace(0, np.sqrt(top), _GRID + 1) ** 2
    below = gamma.cdf(edges[:, None], shape, scale=1 / rate)
    mass = np.diff(below, axis=0)
    with np.errstate(divide="ignore"):
        logs = np.log(np.maximum((below[1:] + below[:-1]) / 2, np.finfo(np.float64).tiny))
    others = (logs * count).sum(axis=1)[:, None] - logs
    return np.asarray((mass * np.exp(others)).sum(axis=0), dtype=np.float64)
