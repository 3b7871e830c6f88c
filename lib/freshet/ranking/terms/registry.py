"""The registered terms. A new one is added here, in one line, or by a module of extensions.modules."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.core.named import NameRegistry
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.terms.factors import Factors
from freshet.ranking.terms.item_models import ItemModelTerm
from freshet.ranking.terms.item_vectors import Newness, Popularity, PopularityRank, Trend
from freshet.ranking.terms.own_items import OwnFrequency, OwnSeen, OwnStep
from freshet.ranking.terms.reason import BUILT_IN, Reason
from freshet.ranking.terms.term import ItemVector, OwnItemSettings, SparseRows, Term

FACTORS = Factors()
OWN_FREQUENCY = OwnFrequency()
OWN_SEEN = OwnSeen()
POPULARITY = Popularity()
POPULARITY_RANK = PopularityRank()

TERMS: NameRegistry[Term] = NameRegistry(
    "term", FACTORS, OWN_FREQUENCY, OWN_SEEN, OwnStep(), POPULARITY, Trend(), Newness(), POPULARITY_RANK
)
"""In the order in which a search weighs them. Item models are terms too: see `term_of`."""

RECENT_POPULARITY = tuple(POPULARITY.member(days) for days in (30, 90, 365, None))
"""Terms that order the catalogue for shoppers without a known item: the first one that an artifact has. An artifact has
no such term for a window in which all items have equally many shoppers, for example without any sale."""


def term_of(name: str) -> Term:
    """The term, or the family, of a name: the longest one that the name starts with. Raises StateError for none."""
    if name in ITEM_MODELS:
        return ItemModelTerm(ITEM_MODELS[name])
    families = [term for term in TERMS if name == term.name or name.startswith(f"{term.name}_")]
    if not families:
        raise TERMS.unknown(name)
    return max(families, key=lambda term: len(term.name))


def sparse_term(name: str) -> SparseRows:
    """`term_of` for a term with a configuration in the recipe. Raises StateError for one of another kind."""
    term = term_of(name)
    if not isinstance(term, SparseRows):
        raise TERMS.unknown(name)
    return term


def item_vector(name: str) -> ItemVector:
    """`term_of` for a term with a vector in the artifact. Raises StateError for one of another kind."""
    term = term_of(name)
    if not isinstance(term, ItemVector):
        raise TERMS.unknown(name)
    return term


def sparse_options(settings: OwnItemSettings) -> dict[str, Any]:
    """The configurations of all terms of kind SparseRows that a search may weigh, by name."""
    every = [term.options(settings) for term in TERMS if isinstance(term, SparseRows)]
    return {name: configuration for options in every for name, configuration in options.items()}


def item_vectors(
    features: pa.Table, *, as_of: datetime, weights: Mapping[str, Mapping[str, float]]
) -> dict[str, NDArray[np.float32]]:
    """The terms of kind ItemVector by name, for rows of contract ITEM_FEATURES, in their order.

    These are all that a search may weigh, and those of the others that `weights`, by policy and term, name.
    Standardised ones with the same value for all items are left out.
    """
    named = {name for terms in weights.values() for name in terms}
    found = {}
    for term in TERMS:
        if isinstance(term, ItemVector) and (term.policies or any(term_of(name) is term for name in named)):
            for name, values in term.vectors(features, as_of=as_of).items():
                if term.policies or name in named:
                    found[name] = _standardised(values) if term.is_standardised else values.astype(np.float32)
    return {name: values for name, values in found.items() if values is not None}


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float32] | None:
    if not len(values) or values.std() <= 1e-9:
        return None
    return ((values - values.mean()) / values.std()).astype(np.float32)


def weighed(names: Iterable[str], policy: str) -> list[str]:
    """The names whose terms a search weighs under `policy`."""
    return [name for name in names if policy in term_of(name).policies]


def check_names(weights: Mapping[str, Mapping[str, float]]) -> None:
    """Raises StateError if weights, by policy and term, name an unknown term."""
    for names in weights.values():
        for name in names:
            term_of(name)


def all_reasons() -> tuple[Reason, ...]:
    """The reasons that lists may give: those of Freshet, then those of extensions."""
    return tuple(dict.fromkeys([*BUILT_IN, *(term.reason for term in TERMS)]))
