"""Item models and terms of one's own: from a function or from values, or any class with the engine's methods.

`register` makes them known to `fit`, to the search of weights and to lists. The classes here cover what needs no class
of its own; models/items/item_model.py and ranking/terms/term.py say what a class may do besides. The same objects in a
module's ITEM_MODELS and TERMS are an extension of a home (extensions.modules).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.contracts.policies import NEW_ITEMS, POLICIES
from freshet.core.errors import InputError, StateError
from freshet.lab.columns import raised
from freshet.lab.lists import Lists
from freshet.lab.matrices import WEIGHTS, checked_matrix
from freshet.lab.splits import Split, checked_policy
from freshet.models.items.item_model import (
    DataInProcess,
    FitLimits,
    FittedWeights,
    Histories,
    ItemModel,
    TrainingData,
)
from freshet.models.items.item_weights import fitted_weights, weights_in_process
from freshet.models.items.registry import ITEM_MODELS
from freshet.numeric.coded_rows import CodedRows
from freshet.numeric.top_k import top_k
from freshet.ranking.histories.history_block import HistoryBlock, read_block
from freshet.ranking.terms.own_items import NoConfiguration
from freshet.ranking.terms.reason import Reason
from freshet.ranking.terms.registry import TERMS
from freshet.ranking.terms.term import ItemVector, OwnItemSettings, SparseRows, Term


@dataclass(frozen=True)
class NoSettings:
    """The settings of a model that has none."""


class MatrixModel(ItemModel[NoSettings, NoConfiguration]):
    """An item model from a function: strengths [users, items] in, weights [items, items] out.

    Row s, column j of the weights is how much having s raises the score of j; a user's scores are the row of strengths
    times the weights. Both are sparse or dense; strengths are float32 in compressed rows, of the items with a strength,
    in rising order of their ids. Weights of another shape are refused; a square matrix that is turned round cannot be
    told from a right one.
    """

    settings = NoSettings
    configuration = NoConfiguration

    def __init__(self, name: str, function: Callable[[csr_matrix], Any], *, words: str = "") -> None:
        self.name, self.description = name, words or name
        self._weights = function

    def options(self, settings: NoSettings) -> list[NoConfiguration]:
        return [NoConfiguration()]

    def half_lives(self, configuration: NoConfiguration) -> set[float | None]:
        return {None}

    def fit(self, configuration: NoConfiguration, data: TrainingData, limits: FitLimits) -> pa.Table:
        rows = data.strengths(None, 0.0).where("strength > 0").select("user_id", "item_id", "strength")
        return fitted_weights(rows, self._scored_by_source, threads=limits.threads)

    def fit_in_process(self, configuration: NoConfiguration, data: DataInProcess, limits: FitLimits) -> pa.Table:
        """As `fit`, without Spark."""
        rows = data.strengths(None, 0.0).select(["user_id", "item_id", "strength"])
        return weights_in_process(rows, self._scored_by_source, threads=limits.threads)

    def _scored_by_source(self, rows: CodedRows) -> csr_matrix:
        strengths = rows.matrix()
        side = strengths.shape[1]
        made = checked_matrix(self._weights(strengths), (side, side), where=f"weights of {self.name}", axes=WEIGHTS)
        turned = made.T.tocsr().astype(np.float32)
        turned.eliminate_zeros()
        turned.sort_indices()
        return turned

    def inputs(
        self, configuration: NoConfiguration, histories: Histories, *, event_weights: NDArray[np.float64],
        fitted: FittedWeights,
    ) -> csr_matrix:  # fmt: skip
        return histories.strengths(event_weights, None).astype(np.float32)

    def describe(self, configuration: NoConfiguration) -> dict[str, Any]:
        return {"function": self.name}


class MatrixTerm(SparseRows):
    """A term from a function: strengths [users, items] in, values [users, items] out, each from -1 to 1 and 0 for most.

    The function sees the users of one block at a time, with the items of the training part in rising order of their
    ids. Values of another shape, or beyond -1 and 1, are refused.
    """

    policies = POLICIES
    configuration = NoConfiguration

    def __init__(self, name: str, function: Callable[[csr_matrix], Any], *, words: str = "") -> None:
        self.name = name
        self.reason = Reason(name, words or name)
        self._values = function

    def describe(self, member: str) -> str:
        return self.reason.words

    def options(self, settings: OwnItemSettings) -> dict[str, NoConfiguration]:
        return {self.name: NoConfiguration()}

    def rows(
        self, configuration: NoConfiguration, block: HistoryBlock, event_weights: NDArray[np.float64]
    ) -> csr_matrix:
        strengths = block.strengths(event_weights, None)
        made = checked_matrix(self._values(strengths), strengths.shape, where=f"values of {self.name}")
        if made.nnz and np.abs(made.data).max() > 1:
            raise InputError("a term has too large a value", where=self.name, expected="-1 to 1",
                             found=f"{made.data[np.abs(made.data).argmax()]:g}")  # fmt: skip
        made.sum_duplicates()
        return made.astype(np.float32)


class ItemValues(ItemVector):
    """A term from one value per item, such as a margin or a score of editors; standardised over the items. Items
    without a value get `otherwise`. Ids are compared as texts."""

    policies = POLICIES

    def __init__(self, name: str, values: Mapping[Any, float], *, otherwise: float = 0.0, words: str = "") -> None:
        found = {str(item): value for item, value in values.items()}
        wrong = [
            f"the value of {item} is {value!r}, no finite number"
            for item, value in [*found.items(), ("other items", otherwise)]
            if not (isinstance(value, int | float | np.number) and np.isfinite(value))
        ]
        raised(wrong[:5], name)
        self.name = name
        self.reason = Reason(name, words or name)
        self._values, self._otherwise = found, float(otherwise)

    def describe(self, member: str) -> str:
        return self.reason.words

    def vectors(self, features: pa.Table, *, as_of: datetime) -> dict[str, NDArray[np.float64]]:
        items = features.column("item_id").to_pylist()
        return {self.name: np.array([float(self._values.get(item, self._otherwise)) for item in items])}


_added: dict[str, ItemModel[Any, Any] | Term] = {}


def register(*objects: ItemModel[Any, Any] | Term) -> None:
    """Adds item models and terms by their names; an object that was added here before is replaced, so that a cell can
    run again. Raises StateError for the name of another model or term, InputError for what is neither."""
    for one in objects:
        is_model = isinstance(one, ItemModel)
        if not is_model and not isinstance(one, SparseRows | ItemVector):
            raise InputError("this is neither an item model nor a term", where="register",
                             expected="the methods of ItemModel, SparseRows or ItemVector",
                             found=type(one).__name__)  # fmt: skip
        unregister(one.name)
        if one.name in ITEM_MODELS or one.name in TERMS:
            raise StateError("there is an item model or a term of this name", where=one.name, do="Rename yours")
        (ITEM_MODELS if is_model else TERMS).add(one)  # type: ignore[arg-type]
        _added[one.name] = one


def unregister(*names: str) -> None:
    """Removes what `register` has added under these names; does nothing for others. Blends that use it end to work."""
    for name in names:
        one = _added.pop(name, None)
        if one is not None:
            ITEM_MODELS.remove(one)  # type: ignore[arg-type]
            TERMS.remove(one)  # type: ignore[arg-type]


def lists_of_scores(scores: Any, split: Split, *, k: int = 10, policy: str | None = None) -> Lists:
    """The lists of a model that gives scores itself: a matrix [cases, items], in the order of `split.cases` and of
    `split.train.items`, the highest first, ties by item.

    Raises InputError for another shape or values that are not finite.
    """
    chosen, items, cases = checked_policy(policy or split.policy), split.train.items, split.cases
    shape = (len(cases), len(items))
    values = checked_matrix(scores, shape, where="lists_of_scores", axes=("cases", "items")).toarray()
    if chosen == NEW_ITEMS:
        names = [str(name) for name in pc.unique(split.train.event_names).to_pylist()]
        block = read_block(cases.batch().column("history"), items=items, event_names=names, clock=cases.clock)
        values[block.row, block.item] = -np.inf
    columns, best = top_k(values, k)
    is_item = np.isfinite(best)
    ends = np.concatenate([[0], np.cumsum(is_item.sum(axis=1))]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(ends), items.take(pa.array(columns[is_item])))
    users = cases.table.column("user_id").combine_chunks()
    return Lists.from_items(users, lists, policy=chosen, types=(cases.user_type, cases.item_type))
