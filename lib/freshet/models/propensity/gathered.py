"""Rows that are read once: kept at half their size before it is known how to standardize them."""

import numpy as np

from freshet.numeric.blocks import Floats, Halves, Moments, OwnMoments, common_width, standardized
from freshet.numeric.collective import Peers


class GatheredRows:
    """Blocks of a task's rows, kept standardized by the first of them until the moments of all tasks are known.

    Only where the columns of the first block say nothing of the others does rounding to float32 about its mean lose
    more than rounding about the mean of all: by the root of the number of rows over those of that block at most, as
    that block is a part of all deviations. What float32 cannot hold so is kept as it is.
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[Halves, Floats | None]] = []
        self._own: OwnMoments | None = None
        self._first = Moments(np.zeros(0), np.zeros(0), 0.0)

    def add(self, rows: Floats, weights: Floats) -> None:
        """Takes a block over (rows x columns, all blocks as wide); nothing of it is needed later."""
        if self._own is None:
            self._own = OwnMoments(rows.shape[1])
            self._first = Moments(rows.mean(axis=0), rows.std(axis=0), float(len(rows)))
        self._own.add(rows, weights)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            kept = standardized(rows, self._first)
        self._blocks.append((kept, None if np.isfinite(kept).all() else rows.copy()))

    def moments(self, peers: Peers) -> Moments:
        """Those of the columns of all tasks; of no columns where no task has a row."""
        columns = common_width(len(self._first.mean), peers)
        return (self._own or OwnMoments(columns)).joined(peers)

    def standardized(self, known: Moments) -> list[Halves]:
        """All blocks in the order they came, less the mean, in deviations; constant columns become 0. Empties this."""
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
