"""The recipe: everything that a search has chosen for one source of data, stored with the model and not in code."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.models.factors.parameters import AlsParameters
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.extensions import load_extensions
from freshet.ranking.ranker.ranker import Ranker
from freshet.ranking.recipe_migration import migrated
from freshet.ranking.terms.registry import check_names, sparse_term


@dataclass(frozen=True)
class Recipe:
    """How scores are computed. Half-lives in days, null means no decay.

    Strengths below `item_min_strength` do not train the factors, those below `user_min_strength` are not folded in:
    MLlib gives every positive strength, however small, the full preference of 1.
    `weights` is by policy and then by term; a term without a weight has weight 0 and is not computed.
    `event_weights` is by GA4 event name. `als` is null where there is no factor model. `item_models`: the configuration
    of each item model, by name, in the registry's order; `sparse_terms`: that of each term of kind SparseRows.
    `rankers`: by policy, where one corrects the blend. `extensions`: the modules with item models and terms that are
    not part of Freshet. Raises StateError for an unknown item model or term.
    """

    target: str
    event_weights: dict[str, float]
    als: AlsParameters | None
    item_half_life_days: float | None
    item_min_strength: float
    user_half_life_days: float | None
    user_min_strength: float
    item_models: dict[str, Any]
    sparse_terms: dict[str, Any]
    weights: dict[str, dict[str, float]]
    extensions: tuple[str, ...] = ()
    rankers: dict[str, Ranker] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.item_models:
            ITEM_MODELS[name]
        in_order = {name: self.item_models[name] for name in ITEM_MODELS.names if name in self.item_models}
        object.__setattr__(self, "item_models", in_order)
        for name in self.sparse_terms:
            sparse_term(name)
        check_names(self.weights)

    @property
    def event_names(self) -> list[str]:
        """Names by event code: those that have a weight, and the target, which may have none."""
        return list(dict.fromkeys([*self.event_weights, self.target]))

    @property
    def target_code(self) -> int:
        """The target's event code."""
        return self.event_code(self.target)

    def event_code(self, name: str) -> int:
        """The event code of a name; -1 for one that the recipe does not use."""
        return self.event_names.index(name) if name in self.event_names else -1

    @property
    def weights_by_code(self) -> NDArray[np.float64]:
        """`event_weights` by event code."""
        return np.array([self.event_weights.get(name, 0.0) for name in self.event_names], dtype=np.float64)

    def half_lives(self) -> set[float | None]:
        """The half-lives of all strengths that the recipe is fitted on."""
        of_models = [ITEM_MODELS[name].half_lives(configuration) for name, configuration in self.item_models.items()]
        return {self.item_half_life_days}.union(*of_models)

    @property
    def used_terms(self) -> set[str]:
        """The names of terms that have a weight or that a ranker reads, under any policy."""
        weighed = {name for terms in self.weights.values() for name in terms}
        return weighed.union(*(ranker.features for ranker in self.rankers.values()))

    def without_unused(self) -> "Recipe":
        """The recipe without models and terms that have no weight and that no ranker reads; the model for similar items
        is kept."""
        used = self.used_terms
        return replace(
            self,
            item_models={
                name: configuration
                for name, configuration in self.item_models.items()
                if name in used or ITEM_MODELS[name].is_similar_items
            },
            sparse_terms={name: value for name, value in self.sparse_terms.items() if name in used},
        )

    def to_values(self) -> dict[str, Any]:
        """The recipe as values of types that JSON supports, in their order."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            **values,
            "als": None if self.als is None else asdict(self.als),
            "item_models": {name: ITEM_MODELS[name].to_json(made) for name, made in self.item_models.items()},
            "sparse_terms": {name: sparse_term(name).to_json(made) for name, made in self.sparse_terms.items()},
            "extensions": list(self.extensions),
            "rankers": {policy: ranker.to_values() for policy, ranker in self.rankers.items()},
        }

    @staticmethod
    def from_values(values: Mapping[str, Any]) -> "Recipe":
        """The recipe of `to_values`, or of an older form of it, with its extensions loaded."""
        values = migrated(values)
        load_extensions(values["extensions"])
        als = values["als"]
        return Recipe(**{
            **values,
            "als": None if als is None else AlsParameters(**als),
            "item_models": {name: ITEM_MODELS[name].from_json(made) for name, made in values["item_models"].items()},
            "sparse_terms": {name: sparse_term(name).from_json(made) for name, made in values["sparse_terms"].items()},
            "extensions": tuple(values["extensions"]),
            "rankers": {policy: Ranker.from_values(made) for policy, made in values["rankers"].items()},
        })  # fmt: skip

    def to_json(self) -> str:
        return json.dumps(self.to_values(), indent=1, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "Recipe":
        return Recipe.from_values(json.loads(text))

    def __reduce__(self) -> tuple[Any, ...]:
        # A process that unpickles it, such as a Spark worker, must load its extensions first.
        return Recipe.from_values, (self.to_values(),)
