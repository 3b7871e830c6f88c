"""Slow and obvious twins of the recommendation, tuning and neighbour code: plain loops over Python values."""

import math
from collections import defaultdict
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.ranking.artifact import Artifact
from freshet.ranking.recipe import Recipe

Entry = tuple[datetime, str, str, str]
"""What a history entry is about: time, item, event name, order."""


def best_columns(row: list[float], k: int) -> list[tuple[int, float]]:
    """The k best (column, value) of a row by a full sort, ties by column."""
    return sorted(enumerate(row), key=lambda pair: (-pair[1], pair[0]))[:k]


def folded_in_one(
    strengths: dict[int, float], factors: NDArray[np.float64], *, alpha: float, reg: float
) -> NDArray[np.float64]:
    """One shopper's vector by the normal equation as it is written in the paper, term by term."""
    rank = factors.shape[1]
    left, right = np.zeros((rank, rank)), np.zeros(rank)
    for vector in factors:
        left += np.outer(vector, vector)
    positive = {item: strength for item, strength in strengths.items() if strength > 0}
    if not positive:
        return right
    for item, strength in positive.items():
        left += alpha * strength * np.outer(factors[item], factors[item])
        right += (1 + alpha * strength) * factors[item]
    left += reg * len(positive) * np.eye(rank)
    return np.linalg.solve(left, right)


def strengths_of(
    history: list[Entry], weights: dict[str, float], half_life: float | None, clock: datetime
) -> dict[str, float]:
    """Signed decayed strength by item: each (item, event, order) once, at its last time."""
    total: dict[str, float] = defaultdict(float)
    for (item, event, _), time in last_times(history).items():
        age = max(0.0, (clock - time).total_seconds() / 86_400)
        total[item] += weights.get(event, 0.0) * (1.0 if half_life is None else 0.5 ** (age / half_life))
    return dict(total)


def last_times(history: list[Entry]) -> dict[tuple[str, str, str], datetime]:
    """The last time of each (item, event, order)."""
    last: dict[tuple[str, str, str], datetime] = {}
    for time, item, event, order in history:
        key = (item, event, order)
        last[key] = max(last.get(key, time), time)
    return last


def state_of(history: list[Entry], recipe: Recipe, known: list[str]) -> dict[str, float]:
    """A shopper's state after the newest step: each item's decay^k for every moment at which it was taken."""
    if "next_items" not in recipe.item_models:
        return {}
    params = recipe.item_models["next_items"]
    positive_events = {event for event, weight in recipe.event_weights.items() if weight > 0}
    last = last_times([entry for entry in history if entry[1] in known and entry[2] in positive_events])
    taken = [(time, item) for (item, _, _), time in last.items()]
    state: dict[str, float] = defaultdict(float)
    for back, moment in enumerate(sorted({time for time, _ in taken}, reverse=True)):
        for item in {item for time, item in taken if time == moment}:
            state[item] += params.decay**back if back < params.steps else 0.0
    return dict(state)


def scores_of(history: list[Entry], artifact: Artifact, policy: str, clock: datetime) -> list[float]:
    """One shopper's scores of all items, by the formula in scoring.py, item by item."""
    recipe, items = artifact.recipe, artifact.items.to_pylist()
    weights = recipe.weights[policy]

    def strengths(half_life: float | None) -> dict[int, float]:
        found = strengths_of(history, recipe.event_weights, half_life, clock)
        return {items.index(item): value for item, value in found.items() if item in items and value > 0}

    scores = [0.0] * len(items)

    def add(weight: float, values: list[float]) -> None:
        for n, value in enumerate(values):
            scores[n] += weight * value

    if recipe.als is not None and weights.get("factors"):
        factors = np.asarray(artifact.factors, dtype=np.float64)
        folded = {i: s for i, s in strengths(recipe.user_half_life_days).items() if s >= recipe.user_min_strength}
        vector = folded_in_one(folded, factors, alpha=recipe.als.alpha, reg=recipe.als.reg_param)
        raw = [float(vector @ item) for item in factors]
        spread = math.sqrt(sum((value - sum(raw) / len(raw)) ** 2 for value in raw) / len(raw))
        add(weights["factors"], [(value - sum(raw) / len(raw)) / (spread if spread > 1e-9 else 1.0) for value in raw])
    inputs = {
        name: strengths(getattr(configuration, "half_life_days", None))
        for name, configuration in recipe.item_models.items()
    }
    if "linear_items" in inputs:
        inputs["linear_items"] = {i: min(1.0, s) for i, s in inputs["linear_items"].items()}
    if "next_items" in artifact.item_weights:
        near = artifact.item_weights["next_items"].toarray()
        known = [item for n, item in enumerate(items) if near[n].any() or near[:, n].any()]
        state = state_of(history, recipe, known)
        inputs["next_items"] = {items.index(item): value for item, value in state.items()}
    for model, matrix in artifact.item_weights.items():
        if weights.get(model):
            near, own = matrix.toarray(), inputs[model]
            values = [sum(value * near[i, j] for i, value in own.items()) for j in range(len(items))]
            add(weights[model], _to_one(values))
    for name, configuration in recipe.sparse_terms.items():
        own = strengths(getattr(configuration, "half_life_days", None))
        value = {i: 1.0 if name == "own_seen" else math.log(1 + 3 * s) for i, s in own.items()}
        add(weights.get(name, 0.0), _to_one([value.get(n, 0.0) for n in range(len(items))]))
    for name, vector in artifact.terms.items():
        add(weights.get(name, 0.0), [float(v) for v in vector])
    if policy == "new_items":
        owned = {item for _, item, event, _ in history if event == recipe.target}
        scores = [-math.inf if items[n] in owned else score for n, score in enumerate(scores)]
    return scores


def _to_one(values: list[float]) -> list[float]:
    largest = max((abs(value) for value in values), default=0.0)
    return [value / largest for value in values] if largest > 0 else values


def neighbours_of(
    dense: NDArray[np.float64], count: int, asymmetry: float, shrinkage: float
) -> list[list[tuple[int, float]]]:
    """Per item its (neighbour, similarity), nearest first, ties by column, by loops over all pairs."""
    items = dense.shape[1]
    norm = [math.sqrt(float(dense[:, i] @ dense[:, i])) for i in range(items)]
    found = []
    for j in range(items):
        pairs = []
        for i in range(items):
            shared = float(dense[:, i] @ dense[:, j])
            if i != j and shared > 0:
                value = shared / (norm[i] ** asymmetry * norm[j] ** (2 - asymmetry) + shrinkage)
                pairs.append((i, float(np.float32(value))))
        found.append(sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:count])
    return found


def ndcg_of(ranked: list[Any], true: set[Any], k: int) -> float:
    """NDCG@k of one ranked list against all true items."""
    gain = sum(1 / math.log2(place + 2) for place, item in enumerate(ranked[:k]) if item in true)
    return gain / sum(1 / math.log2(place + 2) for place in range(min(k, len(true))))
