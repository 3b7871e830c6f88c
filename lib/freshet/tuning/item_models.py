"""Fits item models, in a search and in the final fit."""

from typing import Any

import pyarrow as pa

from freshet.core.errors import SettingsError, SetupError
from freshet.models.factors.als import Factoriser
from freshet.models.items.item_model import TrainingData
from freshet.models.items.registry import ITEM_MODELS
from freshet.tuning.parameters import ItemModelParameters


def item_model_or_none(
    name: str, configuration: Any, data: TrainingData, *, params: ItemModelParameters, by: Factoriser
) -> pa.Table | None:
    """(item_id, neighbours array<item_id, weight>) of a model, fitted in one task.

    None if it does not fit into memory or cannot be solved; the factoriser's `notify` receives the reason.
    """
    try:
        return ITEM_MODELS[name].fit(configuration, data, params.limits(by.threads))
    except (SetupError, SettingsError) as error:
        by.notify(f"{name} is left out: {error}")
        return None
