"""Search and fit of the propensity model, which run in the tasks that hold the rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.models.propensity.inputs import Inputs
from freshet.models.propensity.logistic import in_units
from freshet.models.propensity.newton import Cases, Penalty, logistic_fit
from freshet.numeric.blocks import Floats, Halves, Moments, alike, cut, moments, standardized
from freshet.numeric.collective import Peers

_LEAST_PROBABILITY = 1e-15
_MICROSECONDS_PER_DAY = 86_400 * 1_000_000
_TOLERANCE = 1e-8


class Choice(NamedTuple):
    """One point of the grid; see PropensityParameters."""

    reg_param: float
    elastic_net_param: float
    half_life_days: float


@dataclass(frozen=True)
class Search:
    """The work of the tasks: evaluate the `grid` at `folds`, then fit the best point (without usable folds the first).

    `folds`: (newest training cut, later validation cut), in microseconds since 1970. `least_positives`: rows with
    label 1 below which nothing is fitted.
    """

    inputs: Inputs
    grid: tuple[Choice, ...]
    folds: tuple[tuple[int, int], ...]
    max_iter: int
    search_max_iter: int
    least_positives: int


class _Rows(NamedTuple):
    """This task's rows: microseconds of as_of, label 0 or 1, and the feature columns."""

    moments: NDArray[np.int64]
    labels: Floats
    values: Floats

    def where(self, chosen: NDArray[np.bool_]) -> "_Rows":
        return _Rows(self.moments[chosen], self.labels[chosen], self.values[chosen])


class _Prepared(NamedTuple):
    """The standardization of raw columns, as fitted on some rows."""

    crossed: Moments
    vector: Moments

    def blocks(self, inputs: Inputs, rows: _Rows) -> list[Halves]:
        made = inputs.vectors(rows.values, rows.moments, self.crossed)
        return [standardized(piece, self.vector) for piece in cut(made)]


def searched_and_fitted(search: Search, batches: Iterator[pa.RecordBatch], peers: Peers) -> dict[str, Floats]:
    """The work of one task on its rows (as_of timestamp, label, then the feature columns, all double).

    Returns counts (positives, rows), losses (folds x grid, NaN where a fold could not be evaluated), choice (an index
    into the grid), the moments of the crossed columns (mean, deviation), coefficients in units of the vector and
    intercept. Returns only counts if there are too few positives or no negative.
    """
    rows = _read(batches, len(search.inputs.columns))
    counts = peers.sum(np.array([rows.labels.sum(), float(len(rows.labels))]))
    if counts[0] < search.least_positives or counts[0] == counts[1]:
        return {"counts": counts}
    losses = np.array([_judged(search, rows, fold, peers) for fold in search.folds]).reshape(-1, len(search.grid))
    can_judge = ~np.isnan(losses).any(axis=1)
    choice = int(losses[can_judge].mean(axis=0).argmin()) if can_judge.any() else 0
    newest = peers.stack(np.array([[float(rows.moments.max(initial=0))]])).max()
    known = _prepared(search.inputs, rows, peers)
    cases = known.blocks(search.inputs, rows)
    slopes, intercept = _fit(search.grid[choice], known, cases, rows, newest, peers, search.max_iter)
    coefficients, intercept = in_units(slopes, intercept, known.vector)
    return {
        "counts": counts,
        "losses": losses,
        "choice": np.array(float(choice)),
        "crossed": np.stack([known.crossed.mean, known.crossed.deviation]),
        "coefficients": coefficients,
        "intercept": np.array(intercept),
    }


def micros(moment: datetime) -> int:
    """Microseconds since 1970 of a UTC time without zone."""
    return int((moment - datetime(1970, 1, 1)).total_seconds()) * 1_000_000


def _judged(search: Search, rows: _Rows, fold: tuple[int, int], peers: Peers) -> Floats:
    """The mean log loss of every point of the grid at the fold's later cut when fitted at the earlier ones."""
    newest, later = fold
    training, validation = rows.where(rows.moments <= newest), rows.where(rows.moments == later)
    positives, learned, judged = peers.sum(
        np.array([training.labels.sum(), float(len(training.labels)), float(len(validation.labels))])
    )
    if positives in (0.0, learned) or not judged:
        return np.full(len(search.grid), np.nan)
    # The scaling too is fitted on the training rows alone.
    known = _prepared(search.inputs, training, peers)
    learning, judging = known.blocks(search.inputs, training), known.blocks(search.inputs, validation)
    losses = []
    for point in search.grid:
        slopes, intercept = _fit(point, known, learning, training, float(newest), peers, search.search_max_iter)
        losses.append(_surprise(judging, validation.labels, slopes, intercept))
    return peers.sum(np.array(losses)) / judged


def _prepared(inputs: Inputs, rows: _Rows, peers: Peers) -> _Prepared:
    at = [inputs.columns.index(name) for name in inputs.crossed]
    crossed = moments(alike(rows.values[:, at]), len(at), peers)
    made = inputs.vectors(rows.values, rows.moments, crossed)
    return _Prepared(crossed, moments(alike(made), made.shape[1], peers))


def _fit(
    point: Choice, known: _Prepared, blocks: list[Halves], rows: _Rows, newest: float, peers: Peers, steps: int
) -> tuple[Floats, float]:
    """Coefficients of the standardized vector and intercept; a row's weight halves with each half-life of its cut."""
    ages = (newest - rows.moments) / _MICROSECONDS_PER_DAY
    weights = 0.5 ** (ages / point.half_life_days) if point.half_life_days else np.ones(len(ages))
    cases = [Cases(*block) for block in zip(blocks, cut(rows.labels), cut(weights), strict=True)]
    lasso, width = point.reg_param * point.elastic_net_param, len(known.vector.mean)
    penalty = Penalty(np.full(width, point.reg_param - lasso), np.full(width, lasso))
    fit = logistic_fit(cases, penalty, peers, max_iter=steps, tol=_TOLERANCE)
    return fit.coefficients, fit.intercept


def _surprise(blocks: list[Halves], labels: Floats, slopes: Floats, intercept: float) -> float:
    odds = np.concatenate([block @ slopes + intercept for block in blocks] or [np.zeros(0)])
    likely = 1 / (1 + np.exp(np.where(labels == 1, -odds, odds)))
    return float(-np.log(np.maximum(likely, _LEAST_PROBABILITY)).sum())


def _read(batches: Iterator[pa.RecordBatch], columns: int) -> _Rows:
    parts = [_Rows(*_arrays(batch)) for batch in batches]
    empty = _Rows(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros((0, columns)))
    return _Rows(*(np.concatenate(part) for part in zip(empty, *parts, strict=True)))


def _arrays(batch: pa.RecordBatch) -> tuple[NDArray[np.int64], Floats, Floats]:
    as_of, labels, *values = batch.columns
    return as_of.cast("int64").to_numpy(), labels.to_numpy(), np.column_stack([value.to_numpy() for value in values])
