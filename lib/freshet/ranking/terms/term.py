"""The interface of terms. A score is the weighted sum of terms, each of one of four kinds of contribution:

FactorProduct      a product of shopper and item vectors, standardised; the only term of its kind
ItemModelProduct   a model's inputs from a history times its weights, scaled by each shopper's largest value
SparseRows         values at a few items of each shopper
ItemVector         one value per item, the same for all shoppers

The engine needs the kinds: it computes factors and item vectors in one dense product, which it can search without
looking at all items, and adds the two others with compiled kernels. The search of weights, the artifact, reasons, the
report and settings access terms by their names, through registry.py. A new term is a class of kind SparseRows or
ItemVector and one line there, or in a module that the setting extensions.modules names. An item model becomes a term
when it is registered as a model.
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
    """A term, or a family of terms with one formula.

    name: the name of the term; members of a family append an underscore and a suffix.
    reason: the reason of an item whose score the term raises.
    policies: those under which a search weighs it. A weight that a recipe gives it under another one counts as well.
    """

    name: str
    reason: Reason
    policies: tuple[str, ...]

    def describe(self, member: str) -> str:
        """The meaning of the term with this name, in words that a shop owner understands."""
        ...


class OwnItemSettings(Protocol):
    """The settings that terms of kind SparseRows may use: section search."""

    @property
    def own_half_lives_days(self) -> tuple[float, ...]:
        """Half-lives in days, 0 means no decay."""
        ...

    @property
    def own_steps(self) -> tuple[int, ...]:
        """Numbers of steps ago, 1 being the newest."""
        ...


@runtime_checkable
class ItemVector(Term, Protocol):
    """A value per item, computed when an artifact is assembled and kept in it; highest is best.

    is_standardised: whether values are standardised over the items, and left out where they are the same for all.
    Members of a term that no policy searches are kept only where the recipe gives them a weight.
    """

    is_standardised: bool = True

    def vectors(self, features: pa.Table, *, as_of: datetime) -> dict[str, NDArray[np.float64]]:
        """[items] by name, for rows of contract ITEM_FEATURES, in their order."""
        ...

    def of_new_item(self, values: NDArray[np.float32]) -> float:
        """The value of an item that is newer than the artifact; by default 0, the mean."""
        return 0.0


@runtime_checkable
class SparseRows(Term, Protocol):
    """Values at a few items of each shopper. `configuration`: the frozen dataclass, of types that JSON supports, that
    the recipe keeps for each member."""

    configuration: type

    def options(self, settings: OwnItemSettings) -> dict[str, Any]:
        """The configuration of each member that a search weighs, by the member's name."""
        ...

    def rows(self, configuration: Any, block: HistoryBlock, event_weights: NDArray[np.float64]) -> csr_matrix:
        """float32 [shoppers, items], at most 1 in absolute value; `event_weights` is by event code."""
        ...

    def to_json(self, configuration: Any) -> dict[str, Any]:
        """The configuration as stored in the recipe."""
        return asdict(configuration)

    def from_json(self, values: Mapping[str, Any]) -> Any:
        """The configuration of a recipe. Raises StateError for one that is not of this term."""
        return configuration_of(self.configuration, values, where=f"term {self.name}")


@runtime_checkable
class ItemModelProduct(Term, Protocol):
    """An item model in the blend."""

    model: ItemModel[Any, Any]


class ItemFactors(NamedTuple):
    """Item vectors [items, rank], their Gram matrix Y'Y, and their mean over all items of the catalogue."""

    vectors: NDArray[np.float32]
    gram: NDArray[np.float64]
    mean: NDArray[np.float64]


@runtime_checkable
class FactorProduct(Term, Protocol):
    """The factor model in the blend: its value is rows @ columns'."""

    def rows(self, vectors: NDArray[np.float32], factors: ItemFactors) -> NDArray[np.float32]:
        """[shoppers, rank] from shopper vectors, scaled so that each shopper's products have deviation 1."""
        ...

    def columns(self, factors: ItemFactors, out: NDArray[np.float32]) -> None:
        """Writes [items, rank] to `out`, shifted so that each shopper's products have mean 0."""
        ...
