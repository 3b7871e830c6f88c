"""What a term of the blend is. A score is the weighted sum of terms, each of one of four kinds of contribution:

FactorProduct      a product of shopper and item vectors, standardised; the one term of its kind
ItemModelProduct   what a model reads of a history times its weights, scaled by each shopper's largest value
SparseRows         values at a few items of each shopper
ItemVector         one value per item, the same for all shoppers

The kinds are there for the engine: it takes factors and item vectors in one dense product, which it may search without
looking at all items, and adds the two others by compiled kernels. The search of weights, the artifact, reasons, the
report and settings reach terms by their names, through registry.py. A new term is a class of kind SparseRows or
ItemVector and one line there, or in a module that the setting extensions.modules names; an item model is a term as
soon as it is registered as a model.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.models.items.item_model import ItemModel, configuration_of
from freshet.ranking.histories.history_block import HistoryBlock
from freshet.ranking.terms.reason import Reason


class Term(Protocol):
    """A term, or a family of terms of one formula.

    name: of the term; members of a family are called by it, an underscore and what tells them apart.
    reason: what a list says of an item that the term lifts.
    policies: those under which a search weighs it. A weight that a recipe gives it under another one counts as well.
    """

    name: str
    reason: Reason
    policies: tuple[str, ...]

    def describe(self, member: str) -> str:
        """What the term of this name says of an item, in words that a shop owner understands."""
        ...


class OwnHalfLives(Protocol):
    """The settings that SparseRows may be made of: section search."""

    @property
    def own_half_lives_days(self) -> tuple[float, ...]:
        """Half-lives in days, 0 stands for no decay."""
        ...


@runtime_checkable
class ItemVector(Term, Protocol):
    """A value per item, made when an artifact is put together and kept in it; highest is best.

    is_standardised: whether values are standardised over the items, and left out where they are the same for all.
    Members of a term that no policy searches are kept only where the recipe gives them a weight.
    """

    is_standardised: bool = True

    def vectors(self, features: pa.Table, *, as_of: datetime) -> dict[str, NDArray[np.float64]]:
        """[items] by name, for rows of contract ITEM_FEATURES, in their order."""
        ...

    def of_new_item(self, values: NDArray[np.float32]) -> float:
        """The value of an item that came after the artifact; 0, the middle, where nothing better is known."""
        return 0.0


@runtime_checkable
class SparseRows(Term, Protocol):
    """Values at a few items of each shopper. `configuration`: the frozen dataclass, of values that JSON knows, that
    the recipe keeps of each member."""

    configuration: type

    def options(self, settings: OwnHalfLives) -> dict[str, Any]:
        """The configuration of each member that a search weighs, by the member's name."""
        ...

    def rows(self, configuration: Any, block: HistoryBlock, event_weights: NDArray[np.float64]) -> csr_matrix:
        """float32 [shoppers, items], of size 1 at most; `event_weights` is by event code."""
        ...

    def to_json(self, configuration: Any) -> dict[str, Any]:
        """The configuration as the recipe keeps it."""
        return asdict(configuration)

    def from_json(self, values: Mapping[str, Any]) -> Any:
        """The configuration of a recipe. Raises StateError for one that is not of this term."""
        return configuration_of(self.configuration, values, where=f"term {self.name}")


@runtime_checkable
class ItemModelProduct(Term, Protocol):
    """An item model in the blend."""

    model: ItemModel[Any, Any]


class ItemFactors(NamedTuple):
    """Item vectors [items, rank], Y'Y of them, and their mean over all items of the catalogue."""

    vectors: NDArray[np.float32]
    gram: NDArray[np.float64]
    mean: NDArray[np.float64]


@runtime_checkable
class FactorProduct(Term, Protocol):
    """The factor model in the blend: its value is rows @ columns'."""

    def rows(self, vectors: NDArray[np.float32], factors: ItemFactors) -> NDArray[np.float32]:
        """[shoppers, rank] of shopper vectors, such that each shopper's products have the deviation 1."""
        ...

    def columns(self, factors: ItemFactors, out: NDArray[np.float32]) -> None:
        """Puts [items, rank] into `out`, such that each shopper's products have the mean 0."""
        ...
