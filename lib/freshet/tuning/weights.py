"""Weights of a blend by coordinate ascent on validation NDCG, over each shopper's most promising candidates.

Plain NumPy on one machine: [shoppers, candidates] per term. No randomness, so a search repeats exactly.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.numeric.top_k import top_k

_STEPS = (0.0, 0.5, 0.7, 0.85, 1.2, 1.4, 2.0)
"""Factors by which a weight is multiplied in turn."""

_FIRST = (-0.5, -0.2, 0.2, 0.5, 1.0, 2.0)
"""Values that replace a weight of 0 in turn."""


@dataclass(frozen=True)
class Candidates:
    """Term values [shoppers, candidates] by name, padded where `allowed` is false.

    `hits` marks true items; `ideal` is each shopper's best possible DCG at `k`, counted over all true items.
    """

    terms: dict[str, NDArray[np.float32]]
    allowed: NDArray[np.bool_]
    hits: NDArray[np.bool_]
    ideal: NDArray[np.float64]
    k: int

    def ndcg(self, scores: NDArray[np.float32]) -> float:
        """Mean NDCG@k of the candidates in the order of `scores` [shoppers, candidates], ties as in lists."""
        best, _ = top_k(np.where(self.allowed, scores, np.float32(-np.inf)), self.k)
        hits = np.take_along_axis(self.hits, best, axis=1)
        return float(((hits @ discounts(best.shape[1])) / self.ideal).mean())


def discounts(k: int) -> NDArray[np.float64]:
    """1 / log2(position + 1) for positions 1..k."""
    return 1.0 / np.log2(np.arange(2, k + 2))


def ideal_dcg(true_items: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """DCG of a perfect list at `k` for shoppers with this many true items (1 or more)."""
    return np.cumsum(discounts(k))[np.minimum(true_items, k) - 1]


@dataclass(frozen=True)
class Trial:
    """One set of weights and its NDCG on the validation window."""

    weights: dict[str, float]
    ndcg: float


def best_weights(candidates: Candidates, start: dict[str, float], *, rounds: int, min_gain: float) -> list[Trial]:
    """Trials that each beat the one before; the last is the best, with its final, rounded weights.

    Each round tries every term's weight in turn, keeping any gain above 1e-5; rounds end when one gains less than
    `min_gain`, or after `rounds`. A weight whose removal costs nothing is removed at the end, the smallest first.
    """
    weights = {name: start.get(name, 0.0) for name in candidates.terms}
    scores = _blend(candidates, weights)
    trials = [Trial(dict(weights), candidates.ndcg(scores))]
    for _ in range(rounds):
        before = trials[-1].ndcg
        for name in weights:
            scores = _ascend(candidates, weights, scores, name, trials)
        if trials[-1].ndcg - before < min_gain:
            break
    return [*trials, _pruned(candidates, weights)]


def _pruned(candidates: Candidates, weights: dict[str, float]) -> Trial:
    # Significant digits: a small weight keeps as many digits as a large one, and is never rounded to 0.
    kept = {name: float(f"{weight:.4g}") for name, weight in weights.items() if weight}
    value = candidates.ndcg(_blend(candidates, kept))
    for name in sorted(kept, key=lambda name: (abs(kept[name]), name)):
        without = {other: weight for other, weight in kept.items() if other != name}
        if without and (found := candidates.ndcg(_blend(candidates, without))) >= value:
            kept, value = without, found
    return Trial(kept, value)


def _ascend(
    candidates: Candidates,
    weights: dict[str, float],
    scores: NDArray[np.float32],
    name: str,
    trials: list[Trial],
) -> NDArray[np.float32]:
    old, term = weights[name], candidates.terms[name]
    tried = [old * step for step in _STEPS] if old else list(_FIRST)
    found = [(candidates.ndcg(scores + np.float32(new - old) * term), -abs(new), new) for new in tried]
    value, _, new = max(found)
    if value <= trials[-1].ndcg + 1e-5:
        return scores
    weights[name] = new
    trials.append(Trial(dict(weights), value))
    return scores + np.float32(new - old) * term


def _blend(candidates: Candidates, weights: dict[str, float]) -> NDArray[np.float32]:
    blended = np.zeros(candidates.allowed.shape, dtype=np.float32)
    for name, weight in weights.items():
        if weight:
            blended += np.float32(weight) * candidates.terms[name]
    return blended
