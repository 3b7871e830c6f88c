"""One scoring function for batch and stream: histories in, scores of all items out.

score = sum of w * term, with the terms of terms/registry.py and the weights of the recipe in the artifact, and minus
infinity for items that the policy leaves out, and for those that cannot be had. A search of weights gets its terms from
here too (`sparse_terms`, `factor_rows`), by the same formulas.

Of a shopper without known items there would be the terms of items alone, which a search may weigh below 0 to correct
the other terms, or leave out: recent popularity takes their place, whatever its weight.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.models.items.registry import ITEM_MODELS
from freshet.numeric.row_kernels import add_rows, add_scaled_product, scaled_product
from freshet.ranking.artifact import Artifact
from freshet.ranking.fold_in import folded_in
from freshet.ranking.histories.history_block import HistoryBlock
from freshet.ranking.search.order import SearchOrder
from freshet.ranking.terms.reason import Reason
from freshet.ranking.terms.registry import FACTORS, sparse_term, weighed

NOTHING: NDArray[np.int64] = np.empty(0, dtype=np.int64)


class ModelPart(NamedTuple):
    """What an item model has added to scores: inputs [shoppers, items] times its weights, times a factor by shopper."""

    inputs: csr_matrix
    factors: NDArray[np.float32]


@dataclass(frozen=True)
class ScoredBlock:
    """What scores [shoppers, items] are the sum of, weighted; reasons are read from it.

    left @ right' is all that is dense; the last number of a row of `right` is that of the terms of items alone,
    `item_part` [items], the sum of `item_parts`, which are by reason. For a search `right` is None, and `order` has the
    same rows. `whole`: that product and what item models add, where there is one; `by_models`: what these add for a
    search. `sparse_parts`: what terms of kind SparseRows add, by their reason. `left_out`: minus infinity where an item
    is not for this shopper; `unavailable`: columns that are for nobody, in rising order. `room` takes the sums. Rows
    `cold`, None where there are none, are not that sum but `popularity` [items].
    """

    left: NDArray[np.float32]
    right: NDArray[np.float32] | None
    order: SearchOrder | None
    item_part: NDArray[np.float32]
    item_parts: dict[Reason, NDArray[np.float32]]
    whole: NDArray[np.float32] | None
    model_parts: dict[str, ModelPart]
    by_models: csr_matrix | None
    sparse_parts: dict[Reason, csr_matrix]
    left_out: csr_matrix | None
    unavailable: NDArray[np.int64]
    room: NDArray[np.float32]
    cold: NDArray[np.bool_] | None
    popularity: NDArray[np.float32]

    def rows(self) -> NDArray[np.float32]:
        """Scores [shoppers, items]. To be called once: sums are taken in `room`. Not of a block for a search."""
        scores = self.whole
        if scores is None:
            assert self.right is not None
            scores = _product(self.left, self.right, self.room)
        if self.cold is not None:
            np.copyto(scores, self.popularity, where=self.cold[:, None])
        for part in self._by_shopper():
            add_rows(scores, part)
        scores[:, self.unavailable] = -np.inf
        return scores

    def own(self) -> csr_matrix:
        """All that is added to scores by shopper and item, [shoppers, items]."""
        parts = [*([] if self.by_models is None else [self.by_models]), *self._by_shopper()]
        return (
            sum(parts[1:], parts[0]) if parts else csr_matrix((len(self.left), len(self.item_part)), dtype=np.float32)
        )

    def _by_shopper(self) -> list[csr_matrix]:
        return [*self.sparse_parts.values(), *([] if self.left_out is None else [self.left_out])]


_USUAL_ITEMS = 16
"""Items of a shopper's history, for an estimate of what item models reach from them."""

_REACHED_COST = 10
"""Items of a product of whole rows in the time of one that an item model reaches, which is scored by itself: at rank 64
some 4 ns against 40."""


def has_whole_rows(artifact: Artifact, policy: str) -> bool:
    """Whether scores take the room of whole rows: where item models say something of so much of the catalogue that what
    they say is added to all of it. Depends on the model alone, so that batch and stream score alike."""
    return reached_items(artifact, policy) * _REACHED_COST > len(artifact.items)


def reached_items(artifact: Artifact, policy: str) -> float:
    """About how many items the weighted item models reach from a shopper's history; 0 without such models."""
    return _USUAL_ITEMS * sum(artifact.reach[model] for model in _weighted_models(artifact, policy))


def _weighted_models(artifact: Artifact, policy: str) -> list[str]:
    return [model for model in artifact.item_weights if artifact.recipe.weights[policy].get(model, 0.0)]


def scored(
    block: HistoryBlock,
    artifact: Artifact,
    *,
    policy: str,
    room: NDArray[np.float32],
    unavailable: NDArray[np.int64] = NOTHING,
    for_search: bool = False,
) -> ScoredBlock:
    """Scores by the recipe's weights of `policy`; of shoppers without known items recent popularity, where the artifact
    has it. Under new_items a shopper's target items are minus infinity, and so are, for everybody, the columns
    `unavailable`.

    `room` takes the scores: as many numbers as shoppers times items, or `for_search` times the items of a product.
    New memory for each block of shoppers costs as much as to fill it.
    """
    recipe = artifact.recipe
    weights = recipe.weights[policy]
    left = _dense_part(block, artifact, weights.get(FACTORS.name, 0.0))
    right, order = (None, artifact.search_order(policy)) if for_search else (artifact.dense(policy), None)
    models = _weighted_models(artifact, policy)
    whole = _product(left, right, room) if right is not None and models else None
    model_parts, by_models = {}, None
    for model in models:
        inputs = model_inputs(model, block, artifact)
        if whole is not None:
            factors = add_scaled_product(whole, inputs, artifact.item_weights[model], weights[model])
        else:
            added, factors = scaled_product(inputs, artifact.item_weights[model], weights[model])
            by_models = added if by_models is None else by_models + added
        model_parts[model] = ModelPart(inputs, factors)
    sparse_parts: dict[Reason, csr_matrix] = {}
    for name in recipe.sparse_terms:
        if weights.get(name, 0.0):
            weighted = sparse_rows(name, block, artifact) * np.float32(weights[name])
            reason = sparse_term(name).reason
            sparse_parts[reason] = sparse_parts[reason] + weighted if reason in sparse_parts else weighted
    left_out = None
    if policy == "new_items":
        left_out = block.touched(recipe.target_code)
        left_out.data[:] = -np.inf
    cold, popularity = _cold(block, artifact)
    return ScoredBlock(
        left, right, order, artifact.item_part(policy), artifact.reason_parts(policy), whole, model_parts, by_models,
        sparse_parts, left_out, np.sort(unavailable), room, cold, popularity,
    )  # fmt: skip


def _cold(block: HistoryBlock, artifact: Artifact) -> tuple[NDArray[np.bool_] | None, NDArray[np.float32]]:
    """Which rows are of shoppers without known items, and the scores of their items; None where no row is."""
    popularity = artifact.recent_popularity
    if popularity is None:
        return None, np.empty(0, dtype=np.float32)
    cold = np.bincount(block.row, minlength=block.shoppers) == 0
    return (cold if cold.any() else None), popularity


def _dense_part(block: HistoryBlock, artifact: Artifact, weight: float) -> NDArray[np.float32]:
    """[shoppers, rank + 1] whose product with Artifact.dense is weight * the factor term + the terms of items alone."""
    left = np.zeros((block.shoppers, artifact.factors.shape[1] + 1), np.float32)
    left[:, -1] = 1.0
    if weight and artifact.recipe.als is not None:
        left[:, :-1] = np.float32(weight) * factor_rows(block, artifact)
    return left


def shopper_factors(block: HistoryBlock, artifact: Artifact) -> NDArray[np.float32]:
    """Folded-in vectors [shoppers, rank] of whole histories; zeros without a known item of positive strength."""
    recipe = artifact.recipe
    assert recipe.als is not None
    strengths = block.strengths(recipe.weights_by_code, recipe.user_half_life_days, at_least=recipe.user_min_strength)
    return folded_in(strengths, artifact.factors, artifact.item_factors.gram, recipe.als)


def factor_rows(block: HistoryBlock, artifact: Artifact) -> NDArray[np.float32]:
    """[shoppers, rank] whose product with Artifact.factor_columns is the factor term."""
    return FACTORS.rows(shopper_factors(block, artifact), artifact.item_factors)


def model_inputs(model: str, block: HistoryBlock, artifact: Artifact) -> csr_matrix:
    """[shoppers, items]: what an item model reads of the histories; its product with the weights, each row scaled so
    that its value of largest size is 1, is the term."""
    recipe = artifact.recipe
    return ITEM_MODELS[model].inputs(
        recipe.item_models[model], block, event_weights=recipe.weights_by_code, known=artifact.known_items[model]
    )


def sparse_rows(name: str, block: HistoryBlock, artifact: Artifact) -> csr_matrix:
    """float32 [shoppers, items]: a term of kind SparseRows that the recipe has."""
    recipe = artifact.recipe
    return sparse_term(name).rows(recipe.sparse_terms[name], block, recipe.weights_by_code)


def sparse_terms(block: HistoryBlock, artifact: Artifact, policy: str) -> dict[str, csr_matrix]:
    """[shoppers, items] by name of the item models and of the terms of kind SparseRows that a search weighs under
    `policy`, with rising columns. Nothing is weighted here. An item model without weights is left out."""
    recipe = artifact.recipe
    models = [name for name, item_weights in artifact.item_weights.items() if item_weights.nnz]
    found: dict[str, csr_matrix] = {}
    for name in weighed([*models, *recipe.sparse_terms], policy):
        if name in models:
            found[name], _ = scaled_product(model_inputs(name, block, artifact), artifact.item_weights[name], 1.0)
        else:
            found[name] = sparse_rows(name, block, artifact)
    return found


def _product(
    left: NDArray[np.float32], right: NDArray[np.float32], room: NDArray[np.float32]
) -> NDArray[np.float32]:  # fmt: skip
    """left @ right', in `room`. NumPy's product gives Python's lock to other threads, SciPy's does not."""
    cells = room[: len(left) * len(right)].reshape(len(left), len(right))
    return np.matmul(left, right.T, out=cells)
