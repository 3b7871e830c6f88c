"""An item model and two terms that Freshet does not have: what an extension looks like, and what tests add.

`mirror`: having a12 speaks for b12, as no data say. `even`: a shopper's own items at even places of the catalogue.
`last_letter`: items whose id begins with z.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.contracts.policies import NEXT_BASKETS, POLICIES
from freshet.models.items.item_model import FitLimits, FittedWeights, Histories, ItemModel, TrainingData
from freshet.ranking.histories.history_block import HistoryBlock
from freshet.ranking.terms.reason import Reason
from freshet.ranking.terms.term import ItemVector, OwnItemSettings, SparseRows

WEIGHTS = pa.list_(pa.struct([("item_id", pa.string()), ("weight", pa.float32())]))


@dataclass(frozen=True)
class MirrorSettings:
    """Section item_models.mirror."""

    shifts: tuple[int, ...]


@dataclass(frozen=True)
class MirrorConfiguration:
    """b's number is a's plus `shift`."""

    shift: int


class Mirror(ItemModel[MirrorSettings, MirrorConfiguration]):
    """Made of nothing but the names of items."""

    name = "mirror"
    description = "Mirror images"
    settings = MirrorSettings
    configuration = MirrorConfiguration

    def options(self, settings: MirrorSettings) -> list[MirrorConfiguration]:
        return [MirrorConfiguration(shift) for shift in settings.shifts]

    def half_lives(self, configuration: MirrorConfiguration) -> set[float | None]:
        return {None}

    def fit(self, configuration: MirrorConfiguration, data: TrainingData, limits: FitLimits) -> pa.Table:
        items = data.features.column("item_id").to_pylist()
        images = {f"b{int(item[1:]) + configuration.shift:02d}": item for item in items if item.startswith("a")}
        scored = sorted(set(images) & set(items))
        lists = [[{"item_id": images[item], "weight": 1.0}] for item in scored]
        return pa.table({"item_id": pa.array(scored, pa.string()), "neighbours": pa.array(lists, WEIGHTS)})

    def inputs(
        self, configuration: MirrorConfiguration, histories: Histories, *, event_weights: NDArray[np.float64],
        fitted: FittedWeights,
    ) -> csr_matrix:  # fmt: skip
        touched = histories.strengths(event_weights, None).astype(np.float32)
        touched.data[:] = 1.0
        return touched

    def describe(self, configuration: MirrorConfiguration) -> dict[str, Any]:
        return {"shift": configuration.shift}


@dataclass(frozen=True)
class EvenConfiguration:
    """`value` at each of the items, 1 at most."""

    value: float


class Even(SparseRows):
    """With a reason of its own, which goes before all others."""

    name = "even"
    reason = Reason("is_even", "has an even place", is_decisive=True)
    policies = (NEXT_BASKETS,)
    configuration = EvenConfiguration

    def describe(self, member: str) -> str:
        return "Own items at even places"

    def options(self, settings: OwnItemSettings) -> dict[str, EvenConfiguration]:
        return {"even": EvenConfiguration(1.0)}

    def rows(
        self, configuration: EvenConfiguration, block: HistoryBlock, event_weights: NDArray[np.float64]
    ) -> csr_matrix:
        found = block.strengths(event_weights, None).astype(np.float32)
        found.data = np.where(found.indices % 2 == 0, configuration.value, 0.0).astype(np.float32)
        found.eliminate_zeros()
        return found


class LastLetter(ItemVector):
    """With a reason of its own."""

    name = "last_letter"
    reason = Reason("last_letter", "begins with z")
    policies = POLICIES

    def describe(self, member: str) -> str:
        return "Begins with z"

    def vectors(self, features: pa.Table, *, as_of: datetime) -> dict[str, NDArray[np.float64]]:
        ids = features.column("item_id").to_pylist()
        return {"last_letter": np.array([float(item.startswith("z")) for item in ids])}


ITEM_MODELS = (Mirror(),)
TERMS = (Even(), LastLetter())
