"""The scoring function of batch and stream: from histories to scores of all items.

score = sum of w * term, with the terms of terms/registry.py and the weights of the recipe in the artifact, and minus
infinity for items that the policy excludes and for unavailable ones. The search of weights computes its terms with the
same functions (`sparse_terms`, `factor_rows`).

A shopper without known items would have only the item vectors, whose weights may be negative to correct the other
terms, or 0. Recent popularity replaces them, whatever its weight.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.contracts.events import PURCHASE
from freshet.models.items.registry import ITEM_MODELS
from freshet.numeric.row_kernels import (
    add_rows,
    add_scaled_product,
    chosen_products,
    chosen_sums,
    leave_out_columns,
    picked,
    scaled_product,
)
from freshet.ranking.artifact import Artifact
from freshet.ranking.fold_in import folded_in
from freshet.ranking.histories.history_block import HistoryBlock
from freshet.ranking.search.order import SearchOrder
from freshet.ranking.terms.reason import Reason
from freshet.ranking.terms.registry import FACTORS, sparse_term, weighed

NOTHING: NDArray[np.int64] = np.empty(0, dtype=np.int64)


class ModelPart(NamedTuple):
    """The contribution of an item model: inputs [shoppers, sources] times its weights, times a factor by shopper, which
    includes the term's weight."""

    inputs: csr_matrix
    factors: NDArray[np.float32]
    weight: float


@dataclass(frozen=True)
class ScoredBlock:
    """The weighted parts whose sum is the scores [shoppers, items]; reasons are derived from them.

    left @ right' is the dense part. The last number of a row of `right` is that of `item_part` [items], the sum of
    `item_parts`, which are by reason. For a search `right` is None, and `order` has the same rows. `taste`: the
    `factor_rows`, without their weight; None where the factor term has none. `whole`: the dense part plus the
    contributions of item models, if it was computed; `by_models`: these contributions for a search. `sparse_rows`: the
    weighed terms of kind SparseRows, without their weights; `sparse_parts`: their contributions, by their reason.
    `left_out`: minus infinity where an item is excluded for a shopper; `unavailable`: columns that are excluded for all
    shoppers, in rising order. `buffer` receives the sums. Scores of rows `cold` (None: no such rows) are not that sum
    but `popularity` [items]. `block`: the histories; `purchase_code`: the event code of a purchase, -1 if the recipe
    does not use it.
    """

    left: NDArray[np.float32]
    right: NDArray[np.float32] | None
    order: SearchOrder | None
    taste: NDArray[np.float32] | None
    item_part: NDArray[np.float32]
    item_parts: dict[Reason, NDArray[np.float32]]
    whole: NDArray[np.float32] | None
    model_parts: dict[str, ModelPart]
    by_models: csr_matrix | None
    sparse_rows: dict[str, csr_matrix]
    sparse_parts: dict[Reason, csr_matrix]
    left_out: csr_matrix | None
    unavailable: NDArray[np.int64]
    buffer: NDArray[np.float32]
    cold: NDArray[np.bool_] | None
    popularity: NDArray[np.float32]
    block: HistoryBlock
    purchase_code: int

    @cached_property
    def bought(self) -> csr_matrix:
        """[shoppers, items]: 1 where the shopper has bought the item. Only reasons need it."""
        return self.block.touched(self.purchase_code)

    @cached_property
    def rows(self) -> NDArray[np.float32]:
        """Scores [shoppers, items], in `buffer`; not for a block for a search."""
        scores = self.whole
        if scores is None:
            assert self.right is not None
            scores = _product(self.left, self.right, self.buffer)
        if self.cold is not None:
            np.copyto(scores, self.popularity, where=self.cold[:, None])
        for part in self._by_shopper():
            add_rows(scores, part)
        if len(self.unavailable):
            is_left_out = np.zeros(len(self.item_part), dtype=np.bool_)
            is_left_out[self.unavailable] = True
            leave_out_columns(scores, is_left_out)
        return scores

    def own(self) -> csr_matrix:
        """All contributions by shopper and item, [shoppers, items]."""
        parts = [*([] if self.by_models is None else [self.by_models]), *self._by_shopper()]
        return (
            sum(parts[1:], parts[0]) if parts else csr_matrix((len(self.left), len(self.item_part)), dtype=np.float32)
        )

    def scores_at(
        self, artifact: Artifact, policy: str, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """[rows, columns]: the scores of these items for these shoppers, without the others of the catalogue, in a
        block for a search. Unavailable items are scored like others."""
        found = np.tile(artifact.item_part(policy)[columns], (len(rows), 1))
        if self.left.shape[1] > 1:
            found += self.left[rows, :-1] @ artifact.factor_columns[columns].T
        for model, part in self.model_parts.items():
            by_target = artifact.fitted[model].by_target[:, columns]
            found += (part.inputs[rows] @ by_target).toarray() * part.factors[rows, None]
        for part in self._by_shopper():
            found += part[rows][:, columns].toarray()
        if self.cold is not None:
            found[self.cold[rows]] = self.popularity[columns]
        return found.astype(np.float32, copy=False)

    def scores_of(self, artifact: Artifact, columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """[shoppers, n]: the scores of the items `columns` [shoppers, n] of each shopper, excluded ones as others are.
        Shoppers without known items have the sum of the item vectors."""
        found = self.item_part[columns]
        if self.left.shape[1] > 1:
            found = found + chosen_products(self.left[:, :-1], artifact.factor_columns, columns)
        for model, part in self.model_parts.items():
            found = found + chosen_sums(part.inputs, artifact.item_weights[model], columns, part.factors)
        for values in self.sparse_parts.values():
            found = found + picked(values, columns)
        return found.astype(np.float32, copy=False)

    def _by_shopper(self) -> list[csr_matrix]:
        return [*self.sparse_parts.values(), *([] if self.left_out is None else [self.left_out])]


_REACHED_COST = 10
"""Items of a product of whole rows in the time of one that an item model reaches, which is scored individually: at rank
64 some 4 ns against 40."""


def has_whole_rows(artifact: Artifact, policy: str) -> bool:
    """Whether scores are computed as whole rows: if item models reach so much of the catalogue that adding to all of it
    is cheaper. Depends on the model alone, so that batch and stream score alike."""
    return reached_items(artifact, policy) * _REACHED_COST > len(artifact.items)


def reached_items(artifact: Artifact, policy: str) -> float:
    """About how many items the weighted item models reach from a shopper's history; 0 without such models."""
    return sum(
        ITEM_MODELS[model].usual_inputs(artifact.recipe.item_models[model]) * artifact.fitted[model].reach
        for model in _weighted_models(artifact, policy)
    )


def _weighted_models(artifact: Artifact, policy: str) -> list[str]:
    return [model for model in artifact.item_weights if artifact.recipe.weights[policy].get(model, 0.0)]


def scored(
    block: HistoryBlock,
    artifact: Artifact,
    *,
    policy: str,
    buffer: NDArray[np.float32],
    unavailable: NDArray[np.int64] = NOTHING,
    for_search: bool = False,
) -> ScoredBlock:
    """Scores by the recipe's weights of `policy`; for shoppers without known items recent popularity, if the artifact
    has it. Under new_items a shopper's target items are minus infinity, and so are the columns `unavailable` for all
    shoppers.

    `buffer` receives the scores: shoppers times items numbers, or `for_search` shoppers times the items of a product.
    Allocating new memory for each block of shoppers costs as much as filling it.
    """
    recipe = artifact.recipe
    weights = recipe.weights[policy]
    weight = weights.get(FACTORS.name, 0.0)
    taste = factor_rows(block, artifact) if weight and recipe.als is not None else None
    left = np.zeros((block.shoppers, artifact.factors.shape[1] + 1), np.float32)
    left[:, -1] = 1.0
    if taste is not None:
        left[:, :-1] = np.float32(weight) * taste
    right, order = (None, artifact.search_order(policy)) if for_search else (artifact.dense(policy), None)
    models = _weighted_models(artifact, policy)
    whole = _product(left, right, buffer) if right is not None and models else None
    model_parts, by_models = {}, None
    for model in models:
        inputs = model_inputs(model, block, artifact)
        if whole is not None:
            factors = add_scaled_product(whole, inputs, artifact.item_weights[model], weights[model])
        else:
            added, factors = scaled_product(inputs, artifact.item_weights[model], weights[model])
            by_models = added if by_models is None else by_models + added
        model_parts[model] = ModelPart(inputs, factors, weights[model])
    rows = {name: sparse_rows(name, block, artifact) for name in recipe.sparse_terms if weights.get(name, 0.0)}
    sparse_parts: dict[Reason, csr_matrix] = {}
    for name, values in rows.items():
        weighted = values * np.float32(weights[name])
        reason = sparse_term(name).reason
        sparse_parts[reason] = sparse_parts[reason] + weighted if reason in sparse_parts else weighted
    left_out = None
    if policy == "new_items":
        left_out = block.touched(recipe.target_code)
        left_out.data[:] = -np.inf
    cold, popularity = _cold(block, artifact)
    return ScoredBlock(
        left, right, order, taste, artifact.item_part(policy), artifact.reason_parts(policy), whole, model_parts,
        by_models, rows, sparse_parts, left_out, np.sort(unavailable), buffer, cold, popularity, block,
        recipe.event_code(PURCHASE),
    )  # fmt: skip


def _cold(block: HistoryBlock, artifact: Artifact) -> tuple[NDArray[np.bool_] | None, NDArray[np.float32]]:
    """The rows of shoppers without known items (None without such rows), and the scores of their items."""
    popularity = artifact.recent_popularity
    if popularity is None:
        return None, np.empty(0, dtype=np.float32)
    cold = np.bincount(block.row, minlength=block.shoppers) == 0
    return (cold if cold.any() else None), popularity


def shopper_factors(block: HistoryBlock, artifact: Artifact) -> NDArray[np.float32]:
    """Folded-in vectors [shoppers, rank] of whole histories; zeros without a known item of positive strength."""
    recipe = artifact.recipe
    assert recipe.als is not None
    strengths = block.strengths(recipe.weights_by_code, recipe.user_half_life_days, at_least=recipe.user_min_strength)
    return folded_in(strengths, artifact.factors, artifact.item_factors.gram, recipe.als)


def factor_rows(block: HistoryBlock, artifact: Artifact) -> NDArray[np.float32]:
    """[shoppers, rank] whose product with Artifact.factor_columns is the factor term."""
    return FACTORS.rows(shopper_factors(block, artifact), artifact.item_factors)


def factor_values(rows: NDArray[np.float32], artifact: Artifact, columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """The factor term at these columns, [shoppers, columns], from the shoppers' `factor_rows`."""
    return chosen_products(rows, artifact.factor_columns, columns)


def model_inputs(model: str, block: HistoryBlock, artifact: Artifact) -> csr_matrix:
    """[shoppers, sources]: the inputs of an item model from the histories. The term is their product with the weights,
    with each row scaled so that its largest absolute value is 1."""
    recipe = artifact.recipe
    return ITEM_MODELS[model].inputs(
        recipe.item_models[model], block, event_weights=recipe.weights_by_code, fitted=artifact.fitted[model]
    )


def sparse_rows(name: str, block: HistoryBlock, artifact: Artifact) -> csr_matrix:
    """float32 [shoppers, items]: a term of kind SparseRows that the recipe has."""
    recipe = artifact.recipe
    return sparse_term(name).rows(recipe.sparse_terms[name], block, recipe.weights_by_code)


def sparse_terms(block: HistoryBlock, artifact: Artifact, policy: str) -> dict[str, csr_matrix]:
    """[shoppers, items] by name of the item models and of the terms of kind SparseRows that a search weighs under
    `policy`, with rising columns. The values are unweighted. An item model without weights is left out."""
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
    left: NDArray[np.float32], right: NDArray[np.float32], buffer: NDArray[np.float32]
) -> NDArray[np.float32]:  # fmt: skip
    """left @ right', in `buffer`. NumPy's product releases Python's global lock, SciPy's does not."""
    cells = buffer[: len(left) * len(right)].reshape(len(left), len(right))
    return np.matmul(left, right.T, out=cells)
