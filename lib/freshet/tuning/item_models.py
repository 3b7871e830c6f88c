"""The models of items for items in a search: their options, and how a recipe's are fitted."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.core.errors import SettingsError, SetupError
from freshet.models.factors.als import Factoriser
from freshet.models.items.linear_items import linear_item_weights
from freshet.models.items.neighbours import NeighbourParameters, item_neighbours
from freshet.models.items.next_items import next_item_weights
from freshet.ranking.recipe import ITEM_MODELS, LINEAR_ITEMS, NEIGHBOURS, NEXT_ITEMS, Recipe
from freshet.tuning.parameters import ItemModelParameters

Strengths = Callable[[float | None, float], DataFrame]
"""(half-life, lowest strength) to interactions (user_id, item_id, first_time, strength) as of a date."""


@dataclass(frozen=True)
class Past:
    """What models of items are fitted on, as of one date.

    `sequences`: (user_id, item_id, position), an event each, in rising order of position. `features`: ITEM_FEATURES of
    the catalogue.
    """

    strengths: Strengths
    sequences: DataFrame
    features: pa.Table
    as_of: datetime


def no_decay_at_zero(days: float) -> float | None:
    """A half-life of the settings, where 0 stands for no decay."""
    return days or None


def item_model_options(bare: Recipe, params: ItemModelParameters) -> dict[str, list[Recipe]]:
    """By model, the recipe with each value of the settings; models without values are missing."""
    near = no_decay_at_zero(params.neighbour_half_life_days)
    linear = no_decay_at_zero(params.linear_half_life_days)
    options = {
        NEIGHBOURS: [
            replace(bare, neighbours=count, neighbour_half_life_days=near) for count in params.neighbour_counts
        ],
        LINEAR_ITEMS: [
            replace(bare, linear_half_life_days=linear, linear_items=params.linear_items(reg))
            for reg in params.linear_reg_params
        ],
        NEXT_ITEMS: [replace(bare, next_items=params.next_items(reg)) for reg in params.next_reg_params],
    }  # fmt: skip
    return {model: recipes for model, recipes in options.items() if recipes}


def with_models_of(recipe: Recipe, chosen: dict[str, Recipe]) -> Recipe:
    """The recipe with each model's settings from the recipe that was chosen for it."""
    for model, option in chosen.items():
        if model == NEIGHBOURS:
            days = option.neighbour_half_life_days
            recipe = replace(recipe, neighbours=option.neighbours, neighbour_half_life_days=days)
        elif model == LINEAR_ITEMS:
            days = option.linear_half_life_days
            recipe = replace(recipe, linear_items=option.linear_items, linear_half_life_days=days)
        else:
            recipe = replace(recipe, next_items=option.next_items)
    return recipe


def settings_of(model: str, recipe: Recipe) -> dict[str, object]:
    """What a recipe says of one item model."""
    if model == NEIGHBOURS:
        return {"neighbours": recipe.neighbours, "half_life_days": recipe.neighbour_half_life_days or 0.0}
    if model == LINEAR_ITEMS and recipe.linear_items is not None:
        return {**asdict(recipe.linear_items), "half_life_days": recipe.linear_half_life_days or 0.0}
    return asdict(recipe.next_items) if recipe.next_items is not None else {}


def without_unused(recipe: Recipe, used: set[str]) -> Recipe:
    """The recipe without the models whose terms have no weight; that of neighbours stays, for table similar_items."""
    linear, following = (LINEAR_ITEMS in used, NEXT_ITEMS in used)
    return replace(
        recipe,
        linear_items=recipe.linear_items if linear else None,
        linear_half_life_days=recipe.linear_half_life_days if linear else None,
        next_items=recipe.next_items if following else None,
    )


def models_of(recipe: Recipe) -> list[str]:
    """The item models that a recipe has."""
    has = {
        NEIGHBOURS: recipe.neighbours > 0,
        LINEAR_ITEMS: recipe.linear_items is not None,
        NEXT_ITEMS: recipe.next_items is not None,
    }
    return [model for model in ITEM_MODELS if has[model]]


def item_model_or_told(
    model: str, recipe: Recipe, past: Past, *, params: ItemModelParameters, by: Factoriser
) -> pa.Table | None:
    """`fitted_item_model`; None, and whom the factoriser tells hears why, where it does not fit or cannot be solved."""
    try:
        return fitted_item_model(model, recipe, past, params=params, threads=by.threads)
    except (SetupError, SettingsError) as error:
        by.notify(f"{model} is left out: {error}")
        return None


def fitted_item_model(model: str, recipe: Recipe, past: Past, *, params: ItemModelParameters, threads: int) -> pa.Table:
    """(item_id, neighbours array<item_id, weight>) of a model that the recipe has, in one task.

    Raises SetupError where it would need more than `memory_gb`, SettingsError where it cannot be solved.
    """
    if model == NEIGHBOURS:
        near = NeighbourParameters(recipe.neighbours, params.neighbour_asymmetry, params.neighbour_shrinkage)
        return item_neighbours(past.strengths(recipe.neighbour_half_life_days, 0.0), near, threads=threads)
    if model == LINEAR_ITEMS:
        assert recipe.linear_items is not None
        rows = _of_frequent(past.strengths(recipe.linear_half_life_days, 0.0), past, params)
        # At most 1 each, as what is read of a history: who takes an item by the hundred would drown all others.
        capped = rows.withColumn("strength", F.least("strength", F.lit(1.0)))
        return linear_item_weights(capped, recipe.linear_items, threads=threads, memory_gb=params.memory_gb)
    assert recipe.next_items is not None
    rows = _of_frequent(past.sequences, past, params)
    return next_item_weights(rows, recipe.next_items, threads=threads, memory_gb=params.memory_gb)


def _of_frequent(rows: DataFrame, past: Past, params: ItemModelParameters) -> DataFrame:
    """The rows of the items of most shoppers, ties by item_id."""
    if past.features.num_rows <= params.most_items:
        return rows
    order = pc.sort_indices(past.features, sort_keys=[("shoppers", "descending"), ("item_id", "ascending")])
    frequent = past.features.select(["item_id"]).take(order.slice(0, params.most_items))
    return rows.join(F.broadcast(rows.sparkSession.createDataFrame(frequent)), "item_id", how="left_semi")
