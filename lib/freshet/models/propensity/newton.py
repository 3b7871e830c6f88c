"""Logistic regression by Newton's method over all tasks of a stage: few passes, each of which sums d x d numbers.

It minimises, as MLlib does, sum_i w_i log(1 + exp(-s_i (x_i b + c))) / sum_i w_i + sum_j l2_j b_j^2 / 2 +
sum_j l1_j |b_j|, s_i = 1 for label 1 and -1 for label 0. Each step minimises the second-order expansion of the loss
plus the penalty itself: by solving where l1 is 0, else by coordinate descent (proximal Newton; Friedman, Hastie and
Tibshirani 2010; Lee, Sun and Saunders 2014). The rows are standardized and float32; sums over them are float64.
"""

from typing import NamedTuple

import numpy as np

from freshet.numeric.blocks import Floats, Halves
from freshet.numeric.collective import Peers

_SWEEPS = 1000
_SWEEP_TOLERANCE = 1e-10
_ENOUGH = 1e-4
"""Share of the expected gain that a step must reach (Armijo)."""

_SHORTEST = 2.0**-20

_MANY_ROWS, _STRIDE = 100_000, 8
"""With at least this many rows the first steps use every eighth row. Their minimum is as near to that of all rows as
sampling error allows, and from there Newton's method needs one or two passes over all rows."""

_FIRST_STEPS, _FIRST_TOLERANCE = 8, 1e-5

_QUADRATIC = 0.01
"""A step whose expected gain is so small a share of the gain of the step before is in the phase of quadratic
convergence: the share of the next step is about the square of its own (near the minimum the error of a step is
proportional to the square of the error before, and the gain to the square of the error)."""

_MARGIN = 10.0
"""Safety factor of a gain that is predicted in this way: in six fits the real gain was one to three times that."""


class Cases(NamedTuple):
    """A block of standardized rows with their labels (0 or 1) and weights."""

    rows: Halves
    labels: Floats
    weights: Floats


class Penalty(NamedTuple):
    """Per standardized coefficient: the factor of half its square, and that of its absolute value."""

    l2: Floats
    l1: Floats

    def at(self, coefficients: Floats) -> float:
        """The penalty of coefficients."""
        return float(self.l2 @ coefficients**2 / 2 + self.l1 @ np.abs(coefficients))


class Fit(NamedTuple):
    """Coefficients of standardized columns, intercept, passes over the rows, and whether the steps converged."""

    coefficients: Floats
    intercept: float
    passes: int
    converged: bool


class _Expansion(NamedTuple):
    """The mean loss at a point (intercept last), its gradient and its Hessian."""

    loss: float
    gradient: Floats
    hessian: Floats


def logistic_fit(cases: list[Cases], penalty: Penalty, peers: Peers, *, max_iter: int, tol: float) -> Fit:
    """The minimum; converged when the step after the next will lower the objective by less than `tol` of it.

    `cases` are those of this task; at least one task must have one. There are at most `max_iter` steps over all rows.
    With many rows a few steps over a part of them come first, which count as a share of a pass. If all labels are
    equal, the coefficients are 0 and the intercept is infinite, as in MLlib.
    """
    some = [_every(case, _STRIDE) for case in cases]
    weight, positive, rows, some_weight = peers.sum(
        np.array([
            sum(float(case.weights.sum()) for case in cases), sum(float(c.weights @ c.labels) for c in cases),
            float(sum(len(case.labels) for case in cases)), sum(float(case.weights.sum()) for case in some),
        ])
    )  # fmt: skip
    columns, share = len(penalty.l2), positive / weight
    if share in (0.0, 1.0):
        return Fit(np.zeros(columns), np.inf if share else -np.inf, 0, True)
    nothing_known = np.append(np.zeros(columns), np.log(share / (1 - share)))
    if rows < _MANY_ROWS or not some_weight > 0:
        return _descent(cases, nothing_known, weight, penalty, peers, max_iter=max_iter, tol=tol)
    first = _descent(some, nothing_known, some_weight, penalty, peers, max_iter=_FIRST_STEPS, tol=_FIRST_TOLERANCE)
    start = np.append(first.coefficients, first.intercept)
    # The classes of a part may be separable although those of all rows are not: its minimum is then far from theirs.
    entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    there = _expanded(cases, start, weight, peers)
    is_nearer = there.loss + penalty.at(start[:-1]) < entropy
    point, here = (start, there) if is_nearer else (nothing_known, None)
    fit = _descent(cases, point, weight, penalty, peers, max_iter=max_iter, tol=tol, here=here)
    return fit._replace(passes=fit.passes + (not is_nearer) + -(-first.passes // _STRIDE))


def _every(case: Cases, stride: int) -> Cases:
    """A block of each `stride`th row."""
    return Cases(case.rows[::stride], case.labels[::stride], case.weights[::stride])


def _descent(
    cases: list[Cases], point: Floats, weight: float, penalty: Penalty, peers: Peers, *, max_iter: int, tol: float,
    here: _Expansion | None = None,
) -> Fit:  # fmt: skip
    """Newton's steps from a point; `here` is the expansion there, where it is known."""
    here, passes = here or _expanded(cases, point, weight, peers), 1
    objective, before = here.loss + penalty.at(point[:-1]), 0.0
    for _ in range(max_iter):
        step = _step(here, point, penalty)
        change = penalty.at((point + step)[:-1]) - penalty.at(point[:-1])
        expected = -float(here.gradient @ step + step @ here.hessian @ step / 2 + change)
        foreseen = expected
        if expected < _QUADRATIC * before:
            foreseen = _MARGIN * expected * (expected / before) ** 2
        if not foreseen > tol * objective:
            # After this step the remaining gain is not worth a pass.
            point = point + step if np.isfinite(expected) else point
            return Fit(point[:-1], float(point[-1]), passes, True)
        slope, length = here.gradient @ step + change, 1.0
        while True:
            there, passes = _expanded(cases, point + length * step, weight, peers), passes + 1
            reached = there.loss + penalty.at((point + length * step)[:-1])
            if reached <= objective + _ENOUGH * length * slope or length < _SHORTEST:
                break
            length /= 2
        if reached > objective:
            # The remaining gain is below the rounding error.
            return Fit(point[:-1], float(point[-1]), passes, True)
        point, here, objective = point + length * step, there, reached
        before = expected if length == 1.0 else 0.0
    return Fit(point[:-1], float(point[-1]), passes, False)


def _expanded(cases: list[Cases], point: Floats, weight: float, peers: Peers) -> _Expansion:
    columns = len(point) - 1
    slopes, intercept = point[:-1].astype(np.float32), point[-1]
    loss, gradient, hessian = 0.0, np.zeros(columns + 1), np.zeros((columns + 1, columns + 1))
    for rows, labels, weights in cases:
        odds = (rows @ slopes).astype(np.float64) + intercept
        small = np.exp(-np.abs(odds))
        loss += float(weights @ (np.log1p(small) + np.maximum(odds, 0.0) - labels * odds))
        probability = np.where(odds >= 0, 1.0, small) / (1.0 + small)
        residual = weights * (probability - labels)
        curvature = weights * probability * (1.0 - probability)
        both = np.stack([residual, curvature]).astype(np.float32) @ rows
        gradient[:-1] += both[0]
        gradient[-1] += residual.sum()
        scaled = rows * np.sqrt(curvature).astype(np.float32)[:, None]
        hessian[:-1, :-1] += scaled.T @ scaled
        hessian[-1, :-1] += both[1]
        hessian[-1, -1] += curvature.sum()
    packed = peers.sum(np.concatenate([[loss], gradient, hessian.ravel()])) / weight
    hessian = packed[columns + 2 :].reshape(hessian.shape)
    hessian[:-1, -1] = hessian[-1, :-1]
    return _Expansion(float(packed[0]), packed[1 : columns + 2], hessian)


def _step(here: _Expansion, point: Floats, penalty: Penalty) -> Floats:
    """To the minimum of the expansion with the penalty."""
    l2, l1 = np.append(penalty.l2, 0.0), np.append(penalty.l1, 0.0)
    curved = here.hessian + np.diag(l2)
    # For constant or collinear columns: a tiny curvature keeps the step finite.
    curved[np.diag_indices_from(curved)] += 1e-12 * max(1.0, float(curved.diagonal().max()))
    if not l1.any():
        return np.asarray(np.linalg.solve(curved, -(here.gradient + l2 * point)), dtype=np.float64)
    return _descended(curved, here.gradient + l2 * point, point, l1)


def _descended(curved: Floats, gradient: Floats, point: Floats, l1: Floats) -> Floats:
    """The step that minimises gradient * step + step * curved * step / 2 + l1 * |point + step|, one at a time."""
    step, slope = np.zeros_like(point), gradient.copy()
    for _ in range(_SWEEPS):
        largest = 0.0
        for j in range(len(point)):
            old = point[j] + step[j]
            unpenalised = old - slope[j] / curved[j, j]
            new = np.sign(unpenalised) * max(abs(unpenalised) - l1[j] / curved[j, j], 0.0)
            if new != old:
                slope += curved[:, j] * (new - old)
                step[j] = new - point[j]
                largest = max(largest, abs(new - old))
        if largest < _SWEEP_TOLERANCE:
            break
    return step
