"""Rows that are read once and kept at half their size until their standardization is known."""

import numpy as np

from freshet.numeric.blocks import Floats, Halves, Moments, OwnMoments, common_width, standardized
from freshet.numeric.collective import Peers


class GatheredRows:
    """Blocks of a task's rows, kept standardized by the first block until the moments of all tasks are known.

    Rounding to float32 about the mean of the first block loses more than rounding about the mean of all rows only if
    that block is not typical of the others. The loss is at most larger by the square root of the number of all rows
    over those of the block, because the block contributes to all deviations. Blocks that float32 cannot hold in this
    way are kept unchanged.
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[Halves, Floats | None]] = []
        self._own: OwnMoments | None = None
        self._first = Moments(np.zeros(0), np.zeros(0), 0.0)

    def add(self, rows: Floats, weights: Floats) -> None:
        """Adds a block (rows x columns, the same columns in all blocks). The caller may reuse its memory afterwards."""
        if self._own is None:
            self._own = OwnMoments(rows.shape[1])
            self._first = Moments(rows.mean(axis=0), rows.std(axis=0), float(len(rows)))
        self._own.add(rows, weights)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            kept = standardized(rows, self._first)
        self._blocks.append((kept, None if np.isfinite(kept).all() else rows.copy()))

    def moments(self, peers: Peers) -> Moments:
        """The moments of the columns over all tasks; without columns if no task has a row."""
        columns = common_width(len(self._first.mean), peers)
        return (self._own or OwnMoments(columns)).joined(peers)

    def standardized(self, known: Moments) -> list[Halves]:
        """All blocks in order of arrival, minus the mean, in deviations; constant columns become 0. Empties this."""
        if not self._blocks:
            return []
        factor = (self._first.scale / known.scale).astype(np.float32)
        moved = ((self._first.mean - known.mean) / known.scale).astype(np.float32)
        made: list[Halves] = []
        for kept, original in self._blocks:
            if original is None:
                np.add(np.multiply(kept, factor, out=kept), moved, out=kept)
            made.append(kept if original is None else standardized(original, known))
        self._blocks = []
        return made
