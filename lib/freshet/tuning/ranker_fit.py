"""Fits the trees of a ranker with LightGBM's LambdaMART (Burges 2010), which starts from the scores of the blend.

How many trees there are, and whether there are any, is decided by cross-validation over shoppers and the rule of one
standard error, so that the blend itself serves where evidence is weak.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.ranking.ranker.ranker import Ranker
from freshet.ranking.ranker.trees import Tree
from freshet.tuning.parameters import RankerParameters
from freshet.tuning.weights import discounts

_BINS = 63
"""Thresholds that are tried for a feature; a quarter of LightGBM's default, in half of the time."""

if TYPE_CHECKING:
    from lightgbm import Booster

_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0)
"""Scales to try, in deviations of the blend's scores."""


class RankerRows(NamedTuple):
    """The candidates of shoppers, best first by the blend, whose score is feature 0.

    features [shoppers, candidates, features]; hits and is_item [shoppers, candidates]; ideal [shoppers]: the best
    possible DCG at k, which also counts true items that are no candidates; fold [shoppers]: as of `fold_of`.
    """

    features: NDArray[np.float32]
    hits: NDArray[np.bool_]
    is_item: NDArray[np.bool_]
    ideal: NDArray[np.float64]
    fold: NDArray[np.int64]

    def of(self, chosen: NDArray[np.bool_]) -> "RankerRows":
        """The rows of some shoppers."""
        return RankerRows(
            self.features[chosen], self.hits[chosen], self.is_item[chosen], self.ideal[chosen], self.fold[chosen]
        )

    @property
    def teaches(self) -> NDArray[np.bool_]:
        """[shoppers]: whether a candidate is a hit; others do not change the trees."""
        return np.asarray((self.hits & self.is_item).any(axis=1))

    def ndcg(self, scores: NDArray[np.floating], k: int) -> NDArray[np.float64]:
        """[shoppers]: NDCG@k in the order of scores [shoppers, candidates], ties as in lists."""
        order = np.argsort(np.where(self.is_item, -scores, np.inf), axis=1, kind="stable")[:, :k]
        hits = np.take_along_axis(self.hits & self.is_item, order, axis=1)
        return np.asarray((hits @ discounts(hits.shape[1])) / self.ideal)


class RankerTrial(NamedTuple):
    """A number of trees; NDCG@k of shoppers whose folds the trees have not seen, minus that of the blend; the standard
    error of this gain."""

    trees: int
    gain: float
    error: float


class CrossValidation(NamedTuple):
    """A trial for each number of trees that may be chosen, and by fold the trees that have not seen it, with their
    scale; nothing where there is too little to learn from."""

    trials: list[RankerTrial]
    by_fold: "list[tuple[Booster, float]]"


def cross_validated(rows: RankerRows, params: RankerParameters, *, k: int) -> CrossValidation:
    """Trials over the folds of the rows; none for fewer shoppers than params.min_shoppers."""
    shoppers, nothing = len(rows.ideal), CrossValidation([], [])
    if shoppers < params.min_shoppers or not rows.teaches.any():
        return nothing
    before = rows.ndcg(rows.features[:, :, 0], k)
    gains = np.zeros((len(params.trees), shoppers))
    by_fold = []
    for fold in range(params.folds):
        mine = rows.fold == fold
        seen, judged = rows.of(~mine), rows.of(mine)
        if not seen.teaches.any() or not mine.any():
            return nothing
        booster, scale = _boosted(seen, params)
        by_fold.append((booster, scale))
        flat = judged.features.reshape(-1, judged.features.shape[2])
        for place, trees in enumerate(params.trees):
            added = np.asarray(booster.predict(flat, num_iteration=trees, num_threads=1)).reshape(judged.hits.shape)
            after = judged.ndcg(judged.features[:, :, 0] + added / scale, k)
            gains[place, mine] = after - before[mine]
    means, errors = gains.mean(axis=1), gains.std(axis=1) / np.sqrt(shoppers)
    trials = [RankerTrial(*each) for each in zip(params.trees, means.tolist(), errors.tolist(), strict=True)]
    return CrossValidation(trials, by_fold)


def chosen_trial(trials: list[RankerTrial]) -> RankerTrial | None:
    """The fewest trees whose gain is within one standard error of the largest; None if that is not above its error.

    Gains on later days are smaller than on the days of the cross-validation, the more so the more trees there are.
    """
    best = max(trials, key=lambda trial: trial.gain, default=None)
    if best is None or best.gain <= best.error:
        return None
    near = [trial for trial in trials if trial.gain >= best.gain - best.error]
    return min(near, key=lambda trial: trial.trees)


def fitted_ranker(
    rows: RankerRows, names: list[str], trees: int, params: RankerParameters, *, found: CrossValidation
) -> Ranker:
    """The ranker of so many trees, fitted on all rows, and those of each fold; it reads what its trees use."""
    made = [_trees(*each, trees) for each in (_boosted(rows, params, trees), *found.by_fold)]
    used = sorted({feature for several in made for tree in several for feature in tree.feature})
    places = {feature: place for place, feature in enumerate(used)}
    renumbered = [
        tuple(replace(tree, feature=tuple(places[feature] for feature in tree.feature)) for tree in several)
        for several in made
    ]
    features = tuple(names[feature] for feature in used)
    return Ranker(params.candidates, features, renumbered[0], tuple(renumbered[1:]))


def _trees(booster: "Booster", scale: float, count: int) -> list[Tree]:
    """The first trees of a model, with values divided by `scale`."""
    described = booster.dump_model(num_iteration=count)["tree_info"]
    return [_tree(each["tree_structure"], scale) for each in described]


def _boosted(rows: RankerRows, params: RankerParameters, trees: int | None = None) -> tuple["Booster", float]:
    """Trees on the blend's scores times a scale, and the scale."""
    # Imported here: only workers that fit a ranker need it, and it may lack a library of the system.
    import lightgbm

    mine = rows.of(rows.teaches)
    scale = _scale(mine)
    features = mine.features[mine.is_item]
    data = lightgbm.Dataset(
        features, label=mine.hits[mine.is_item].astype(np.int32), group=mine.is_item.sum(axis=1),
        init_score=features[:, 0].astype(np.float64) * scale,
    )  # fmt: skip
    settings = {
        "objective": "lambdarank", "learning_rate": params.learning_rate, "num_leaves": params.leaves,
        "min_data_in_leaf": params.min_leaf_rows, "lambdarank_truncation_level": params.truncation,
        "feature_fraction": params.feature_share, "bagging_fraction": params.row_share, "bagging_freq": 1,
        "max_bin": _BINS, "seed": params.seed, "deterministic": True, "force_row_wise": True, "num_threads": 1,
        "use_missing": False, "verbose": -1,
    }  # fmt: skip
    return lightgbm.train(settings, data, num_boost_round=trees or max(params.trees)), scale


def _scale(rows: RankerRows) -> float:
    """The scale of the blend's scores that makes them most likely as logits of a hit, of the steps that are tried.

    LambdaMART starts from these scores and takes differences between them for log-odds.
    """
    blend = rows.features[:, :, 0].astype(np.float64)
    deviation = float(blend[rows.is_item].std()) or 1.0
    found = []
    for step in _SCALES:
        logits = np.where(rows.is_item, blend * (step / deviation), -np.inf)
        logits -= logits.max(axis=1, keepdims=True)
        total = np.log(np.exp(logits).sum(axis=1))
        hits = rows.hits & rows.is_item
        likelihood = np.where(hits, logits, 0.0).sum() - (hits.sum(axis=1) * total).sum()
        found.append((likelihood, step / deviation))
    return max(found)[1]


def _tree(root: dict[str, Any], scale: float) -> Tree:
    """A tree of LightGBM's description of a model, with values divided by `scale`."""
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    value: list[float] = []

    def added(node: dict[str, Any]) -> int:
        """Adds a node and all below it; returns what its parent calls it."""
        if "leaf_value" in node:
            value.append(float(node["leaf_value"]) / scale)
            return -len(value)
        place = len(feature)
        feature.append(int(node["split_feature"]))
        threshold.append(float(node["threshold"]))
        left.append(0)
        right.append(0)
        left[place] = added(node["left_child"])
        right[place] = added(node["right_child"])
        return place

    added(root)
    return Tree(tuple(feature), tuple(threshold), tuple(left), tuple(right), tuple(value))
