"""Assembles an artifact from item-sized tables: features, vectors, weights of item models."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.models.items.item_model import ITEMS
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.artifact import Artifact
from freshet.ranking.item_evidence import item_evidence
from freshet.ranking.ranker.item_facts import item_facts
from freshet.ranking.recipe import Recipe
from freshet.ranking.terms.registry import item_vectors


def assembled(
    recipe: Recipe, *, features: pa.Table, factors: pa.Table | None, item_weights: dict[str, pa.Table], as_of: datetime
) -> Artifact:
    """The artifact of a catalogue: all items of `features` (contract ITEM_FEATURES), in rising item_id order.

    `factors`: (item_id, factors), None for no factor model; items without factors get zero vectors. `item_weights`, by
    item model: (item_id, neighbours array<item_id, weight>), as ItemModel.fit gives it. Raises StateError for an
    unknown model.
    """
    for model in item_weights:
        ITEM_MODELS[model]
    ordered = features.sort_by("item_id")
    items = ordered.column("item_id").combine_chunks()
    if isinstance(items, pa.ChunkedArray):
        items = pa.concat_arrays(items.chunks) if items.num_chunks else pa.array([], pa.string())
    facts = item_facts(ordered, as_of=as_of)
    return Artifact(
        recipe=recipe,
        items=items.cast(pa.string()),
        factors=_aligned_factors(items, factors),
        item_weights={
            model: _aligned_weights(items, item_weights[model], ITEM_MODELS[model].sources)
            for model in ITEM_MODELS.names
            if model in item_weights
        },
        terms=item_vectors(ordered, as_of=as_of, weights=recipe.weights),
        facts=facts,
        evidence=item_evidence(ordered, days_known=facts["item_age_days"]),
    )


def _places(ids: pa.ChunkedArray | pa.Array, items: pa.Array) -> NDArray[np.int64]:
    return pc.fill_null(pc.index_in(ids, value_set=items), -1).to_numpy().astype(np.int64)


def _aligned_factors(items: pa.Array, factors: pa.Table | None) -> NDArray[np.float32]:
    if factors is None or factors.num_rows == 0:
        return np.zeros((len(items), 0), dtype=np.float32)
    vectors = factors.column("factors").combine_chunks()
    flat = vectors.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    rows = flat.reshape(factors.num_rows, -1)
    places = _places(factors.column("item_id"), items)
    aligned = np.zeros((len(items), rows.shape[1]), dtype=np.float32)
    aligned[places[places >= 0]] = rows[places >= 0]
    return aligned


def _aligned_weights(items: pa.Array, neighbours: pa.Table, kind: str) -> csr_matrix:
    """Entry [s, j]: the weight of source s in the score of item j, so that inputs times this matrix are scores."""
    if neighbours.num_rows == 0:
        return csr_matrix((len(items) if kind == ITEMS else 0, len(items)), dtype=np.float32)
    lists = neighbours.column("neighbours").combine_chunks()
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    scored = np.repeat(_places(neighbours.column("item_id"), items), lengths)
    names = lists.flatten().field("item_id")
    sources = _places(names, items) if kind == ITEMS else names.cast(pa.int64()).to_numpy(zero_copy_only=False)
    shape = (len(items) if kind == ITEMS else int(sources.max(initial=-1)) + 1, len(items))
    values = lists.flatten().field("weight").to_numpy(zero_copy_only=False).astype(np.float32)
    known = (scored >= 0) & (sources >= 0)
    return csr_matrix((values[known], (sources[known], scored[known])), shape=shape)
