"""The scoring artifact: an immutable folder per model version with all that scoring needs, memory-mapped by workers.

recipe.json      the recipe that the search has chosen
items.arrow      item_id, in rising order: an item's position in it is its column in every array below
factors.npy      float32 [items, rank]; no rows of rank 0 where there is no factor model
<model>_*.npy    for each item model: sparse float32 [sources, items], entry [s, j]: the weight of source s in j's score
terms.npy        float32 [terms, items]: the terms of kind ItemVector, in the order of terms.json
facts.npy        float32 [facts, items]: the facts of items that rankers read, in the order of facts.json
evidence.npy     float32 [2, items]: how much is known of items (item_evidence.py), in the order of evidence.json
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.core.errors import StateError
from freshet.core.immutable_folders import mapped_items, save_items, write_folder
from freshet.models.items.item_model import FittedWeights
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.fold_in import gram_matrix
from freshet.ranking.item_evidence import DAYS, SHOPPERS, exploration_weights
from freshet.ranking.recipe import Recipe
from freshet.ranking.search.order import SearchOrder, search_order
from freshet.ranking.terms.reason import Reason
from freshet.ranking.terms.registry import FACTORS, RECENT_POPULARITY, all_reasons, item_vector
from freshet.ranking.terms.term import ItemFactors

_SPARSE_PARTS = ("data", "indices", "indptr")


@dataclass(frozen=True)
class Artifact:
    """Arrays as in the module's text, `item_weights` by item model, in the registry's order, `terms` those of kind
    ItemVector, `facts` those of ranker/item_facts.py, `evidence` those of item_evidence.py, which artifacts of earlier
    versions lack. Items without factors have zero rows."""

    recipe: Recipe
    items: pa.Array
    factors: NDArray[np.float32]
    item_weights: dict[str, csr_matrix]
    terms: dict[str, NDArray[np.float32]]
    facts: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    evidence: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @cached_property
    def item_factors(self) -> ItemFactors:
        """The inputs of the factor term."""
        mean = self.factors.sum(axis=0, dtype=np.float64) / max(1, len(self.factors))
        return ItemFactors(self.factors, gram_matrix(self.factors), mean)

    @cached_property
    def factor_columns(self) -> NDArray[np.float32]:
        """[items, rank]: the factor term's columns."""
        made = np.empty(self.factors.shape, dtype=np.float32)
        FACTORS.columns(self.item_factors, made)
        return made

    @property
    def similar_items_model(self) -> str | None:
        """The name of the item model that says which items are similar; None if the artifact has none."""
        names = (model.name for model in ITEM_MODELS if model.is_similar_items)
        return next((name for name in names if name in self.item_weights), None)

    @cached_property
    def similarity(self) -> csr_matrix:
        """float32 [items, items], from 0 to 1: how similar items are by who takes them, the same in both directions, 0
        for most. Computed once."""
        model = self.similar_items_model
        if model is None:
            return csr_matrix((len(self.items), len(self.items)), dtype=np.float32)
        weights = self.item_weights[model]
        return csr_matrix(weights.maximum(weights.T).minimum(np.float32(1.0)))

    @cached_property
    def exploration_weights(self) -> NDArray[np.float64]:
        """[items]: the probabilities with which items are drawn for places that are left to chance. Computed once."""
        if not self.evidence:
            return np.zeros(len(self.items))
        return exploration_weights(self.evidence[SHOPPERS], self.evidence[DAYS])

    @cached_property
    def _dense(self) -> dict[str, NDArray[np.float32]]:
        return {}

    def dense(self, policy: str) -> NDArray[np.float32]:
        """[items, rank + 1] for one product with all dense parts of the scores of `policy`: the factor term's columns,
        and the weighted sum of the item vectors. Computed once."""
        if policy not in self._dense:
            self._dense[policy] = self._vectors(policy)
        return self._dense[policy]

    @cached_property
    def _orders(self) -> dict[str, SearchOrder]:
        return {}

    def search_order(self, policy: str) -> SearchOrder:
        """`dense` sorted for the search, which replaces it. Computed once."""
        if policy not in self._orders:
            vectors = self._vectors(policy)
            square = float(np.einsum("ij,ij->", vectors[:, :-1], vectors[:, :-1])) / max(1, len(vectors))
            weight = abs(self.recipe.weights[policy].get(FACTORS.name, 0.0))
            # A shopper's vector is scaled so that the deviation of its scores is this weight. If the item vectors had
            # the same spread in all directions, the vector would have this length.
            scale = weight * np.sqrt(self.factors.shape[1] / square) if square > 0 else 0.0
            self._orders[policy] = search_order(vectors, scale=float(scale))
        return self._orders[policy]

    @cached_property
    def _item_parts(self) -> dict[str, NDArray[np.float32]]:
        return {}

    def item_part(self, policy: str) -> NDArray[np.float32]:
        """[items]: the weighted sum of the item vectors. Computed once."""
        if policy not in self._item_parts:
            self._item_parts[policy] = self._sum_of(list(self.terms), policy)
        return self._item_parts[policy]

    @cached_property
    def _reason_parts(self) -> dict[str, dict[Reason, NDArray[np.float32]]]:
        return {}

    def reason_parts(self, policy: str) -> dict[Reason, NDArray[np.float32]]:
        """`item_part` by the reason of its terms. Computed once."""
        if policy not in self._reason_parts:
            by_reason: dict[Reason, list[str]] = {}
            for name in self.terms:
                by_reason.setdefault(item_vector(name).reason, []).append(name)
            parts = {reason: self._sum_of(names, policy) for reason, names in by_reason.items()}
            self._reason_parts[policy] = parts
        return self._reason_parts[policy]

    def _sum_of(self, names: list[str], policy: str) -> NDArray[np.float32]:
        made = np.zeros(len(self.items), dtype=np.float32)
        for name in names:
            made += np.float32(self.recipe.weights[policy].get(name, 0.0)) * self.terms[name]
        return made

    @cached_property
    def reasons(self) -> tuple[Reason, ...]:
        """The reasons that lists may give; the index of a reason is its code."""
        return all_reasons()

    def _vectors(self, policy: str) -> NDArray[np.float32]:
        made = np.zeros((len(self.items), self.factors.shape[1] + 1), dtype=np.float32)
        if self.recipe.als is not None:
            FACTORS.columns(self.item_factors, made[:, :-1])
        made[:, -1] = self.item_part(policy)
        return made

    @cached_property
    def recent_popularity(self) -> NDArray[np.float32] | None:
        """By item, the values that order lists of shoppers without a known item; None without such a term."""
        return next((self.terms[name] for name in RECENT_POPULARITY if name in self.terms), None)

    @cached_property
    def fitted(self) -> dict[str, FittedWeights]:
        """`item_weights` as the models read them."""
        return {name: FittedWeights(weights, ITEM_MODELS[name].sources) for name, weights in self.item_weights.items()}

    def save(self, folder: Path, *, like: Path | None = None) -> None:
        """Writes the whole folder or nothing; an existing folder is left unchanged (artifacts are immutable).

        Arrays that are equal in the artifact of folder `like` are shared with it by hard links, if the file system
        supports them.
        """
        write_folder(folder, lambda part: self._write(part, like))

    def _write(self, part: Path, like: Path | None) -> None:
        (part / "recipe.json").write_text(self.recipe.to_json(), encoding="utf-8")
        save_items(part, self.items)
        _save_array(part, "factors.npy", self.factors, like)
        for model, weights in self.item_weights.items():
            for name in _SPARSE_PARTS:
                _save_array(part, f"{model}_{name}.npy", getattr(weights, name), like)
        for name, vectors in (("terms", self.terms), ("facts", self.facts), ("evidence", self.evidence)):
            (part / f"{name}.json").write_text(json.dumps(list(vectors)), encoding="utf-8")
            values = np.array(list(vectors.values()), dtype=np.float32)
            _save_array(part, f"{name}.npy", values.reshape(len(vectors), len(self.items)), like)

    @staticmethod
    def load(folder: Path) -> "Artifact":
        """Maps the folder's arrays read-only. Raises StateError if it is missing or names unknown models or terms."""
        if not (folder / "recipe.json").is_file():
            raise StateError("the scoring artifact is missing", where=str(folder), do="Run `freshet train` again")
        items = mapped_items(folder)
        terms = _vectors(folder, "terms")
        recipe = Recipe.from_json((folder / "recipe.json").read_text(encoding="utf-8"))
        for name in terms:
            item_vector(name)
        return Artifact(
            recipe=recipe,
            items=items,
            factors=np.load(folder / "factors.npy", mmap_mode="r"),
            item_weights={
                model: _mapped(folder, model, len(items))
                for model in recipe.item_models
                if (folder / f"{model}_{_SPARSE_PARTS[0]}.npy").is_file()
            },
            terms=terms,
            # Artifacts of earlier versions have none of these.
            **{name: _vectors(folder, name) for name in ("facts", "evidence") if (folder / f"{name}.json").is_file()},
        )


def _vectors(folder: Path, name: str) -> dict[str, NDArray[np.float32]]:
    """Rows of a mapped array by the names in the JSON file next to it."""
    names = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return dict(zip(names, np.load(folder / f"{name}.npy", mmap_mode="r"), strict=True))


def _save_array(folder: Path, name: str, array: NDArray[Any], like: Path | None) -> None:
    """Writes an array, or links the file of folder `like` if that holds an equal one."""
    shared = like / name if like is not None else None
    if shared is not None and shared.is_file() and _is_same(np.load(shared, mmap_mode="r"), array):
        with suppress(OSError):
            os.link(shared, folder / name)
            return
    np.save(folder / name, array)


def _is_same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.dtype == other.dtype and bool(np.array_equal(one, other))


def _mapped(folder: Path, model: str, items: int) -> csr_matrix:
    parts = [np.load(folder / f"{model}_{name}.npy", mmap_mode="r") for name in _SPARSE_PARTS]
    return csr_matrix(tuple(parts), shape=(len(parts[2]) - 1, items), copy=False)
