"""Terms of a shopper's own items: how often the shopper had them, and whether at all."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.contracts.policies import NEXT_BASKETS
from freshet.models.items.item_model import no_decay_at_zero
from freshet.ranking.histories.history_block import HistoryBlock
from freshet.ranking.terms.reason import BOUGHT_BEFORE
from freshet.ranking.terms.term import OwnItemSettings, SparseRows


@dataclass(frozen=True)
class HalfLife:
    """A half-life in days; None for no decay."""

    half_life_days: float | None


class OwnFrequency(SparseRows):
    """Decayed strength s as log(1 + 3 s), scaled so that each shopper's highest is 1, so that tens of orders do not
    outweigh everything else."""

    name = "own_frequency"
    reason = BOUGHT_BEFORE
    policies = (NEXT_BASKETS,)
    configuration = HalfLife

    def member(self, half_life_days: float) -> str:
        """The name by half-life in days, 0 for no decay."""
        return f"{self.name}_{half_life_days:g}d"

    def describe(self, member: str) -> str:
        found = re.fullmatch(r"_(.+)d", member.removeprefix(self.name))
        decay = f", half-life {found[1]} days" if found and found[1] != "0" else ""
        return f"How often the shopper took it{decay}"

    def options(self, settings: OwnItemSettings) -> dict[str, HalfLife]:
        return {self.member(days): HalfLife(no_decay_at_zero(days)) for days in settings.own_half_lives_days}

    def rows(self, configuration: HalfLife, block: HistoryBlock, event_weights: NDArray[np.float64]) -> csr_matrix:
        strengths = block.strengths(event_weights, configuration.half_life_days)
        strengths.data = np.log1p(3.0 * strengths.data)
        return _scaled_to_one(strengths.astype(np.float32))


@dataclass(frozen=True)
class Step:
    """How many steps ago, 1 being the newest."""

    steps_ago: int


class OwnStep(SparseRows):
    """1 at the items that the shopper had a certain number of steps ago.

    A step is a moment with events of positive weight: a basket, or a click. Decayed strengths can only fall with time,
    but in a session the second last item is often as likely as the last one, and in a weekly shop the basket before the
    last one more likely.
    """

    name = "own_step"
    reason = BOUGHT_BEFORE
    policies = (NEXT_BASKETS,)
    configuration = Step

    def describe(self, member: str) -> str:
        ago = member.removeprefix(f"{self.name}_")
        return f"What the shopper took {ago} step{'' if ago == '1' else 's'} ago"

    def options(self, settings: OwnItemSettings) -> dict[str, Step]:
        return {f"{self.name}_{ago}": Step(ago) for ago in settings.own_steps}

    def rows(self, configuration: Step, block: HistoryBlock, event_weights: NDArray[np.float64]) -> csr_matrix:
        return block.at_step(event_weights > 0, configuration.steps_ago - 1)


@dataclass(frozen=True)
class NoConfiguration:
    """The configuration of a term with a single member."""


class OwnSeen(SparseRows):
    """1 at every item of positive strength, whatever its age."""

    name = "own_seen"
    reason = BOUGHT_BEFORE
    policies = (NEXT_BASKETS,)
    configuration = NoConfiguration

    def describe(self, member: str) -> str:
        return "Had it before, however long ago"

    def options(self, settings: OwnItemSettings) -> dict[str, NoConfiguration]:
        return {self.name: NoConfiguration()}

    def rows(
        self, configuration: NoConfiguration, block: HistoryBlock, event_weights: NDArray[np.float64]
    ) -> csr_matrix:
        strengths = block.strengths(event_weights, None)
        strengths.data = np.ones_like(strengths.data)
        return strengths.astype(np.float32)


def _scaled_to_one(scores: csr_matrix) -> csr_matrix:
    counts = np.diff(scores.indptr)
    if scores.nnz:
        filled = counts > 0
        # SciPy's maximum would sort the whole matrix first.
        highest = np.maximum.reduceat(scores.data, scores.indptr[:-1][filled])
        scores.data /= np.repeat(np.where(highest > 0, highest, 1.0), counts[filled]).astype(np.float32)
    return scores
