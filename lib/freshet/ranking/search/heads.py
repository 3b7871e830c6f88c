"""Heads of vectors: bounds of scores for a small part of the cost of a product, for shoppers with similar directions.

The vectors of such shoppers are close to few axes. The components along these axes are the head of a vector, and its
product is computed. The other axes contribute at most the product of the lengths of the two rests (Cauchy-Schwarz). So
heads, with the length of the rest as one more number, give a bound of the score, as in FEXIPRO (Li, Chan, Yiu and
Mamoulis, SIGMOD 2017), which uses the same axes for all shoppers. The rest is split in two, the next axes and all
others, with a bound for each: shoppers are longer along the next axes than along the others, items are not. By the cost
model that chooses the lengths, this makes searches at rank 256 a tenth cheaper.

A product does not change if one side is stretched and the other shrunk by the same factor. Both sides are first
balanced by the fourth root of the items' Gram matrix: along axes where items are long and shoppers short, both are then
of medium length.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

_ROUNDING = 1e-4
"""Relative margin of a bound: several times the rounding error of single precision along stretched axes."""

_LEAST_SQUARE = 1e-4
"""Share of the largest eigenvalue of a Gram matrix to which smaller ones are raised, so that nothing is stretched or
shrunk more than tenfold."""

_ROWS = 4096
"""Rows of a part: 4 MB at rank 256."""

_OVERSAMPLED, _ROUNDS = 8, 2
"""Additional axes and rounds of the iteration; with two rounds, as few items remain as with exact axes."""


@dataclass(frozen=True)
class Balance:
    """The matrices that balance both sides: `shoppers` and `items` float32 [rank, rank], inverse to each other;
    `squares` [items]: squared lengths of the balanced items."""

    shoppers: Matrix
    items: Matrix
    squares: NDArray[np.float64]


def balance(vectors: Matrix) -> Balance | None:
    """The balance of item vectors [items, rank]; None if they are not finite or all zero."""
    largest = np.float32(max(vectors.max(initial=0), -vectors.min(initial=0)))
    if not 0 < largest < np.inf:
        return None
    gram = np.zeros((vectors.shape[1], vectors.shape[1]))
    for part in _parts(vectors):
        # Squares of numbers of at most 1 are neither infinite nor, where they matter, 0.
        near = part / largest
        gram += near.T @ near
    squares, axes = np.linalg.eigh(gram)
    roots = np.sqrt(largest) * np.maximum(squares, _LEAST_SQUARE * squares[-1]) ** 0.25
    shrunk = ((axes / roots) @ axes.T).astype(np.float32)
    lengths = np.concatenate([squared(part @ shrunk) for part in _parts(vectors)])
    return Balance(((axes * roots) @ axes.T).astype(np.float32), shrunk, lengths)


def _parts(vectors: Matrix) -> Iterator[Matrix]:
    """Parts of rows that fit the processor's cache."""
    return (vectors[start : start + _ROWS] for start in range(0, len(vectors), _ROWS))


def squared(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """The squared length of each row; in single precision many would overflow or be 0."""
    return np.asarray(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))


def principal_axes(vectors: Matrix, number: int) -> Matrix:
    """Approximate first principal axes, [rank, at most number]: subspace iteration (Halko, Martinsson, Tropp 2011)."""
    gram = vectors.T @ vectors
    started = np.linspace(0, len(vectors) - 1, min(len(vectors), number + _OVERSAMPLED, len(gram))).astype(np.int64)
    basis, _ = np.linalg.qr(vectors[started].T)
    for _ in range(_ROUNDS):
        basis, _ = np.linalg.qr(gram @ basis)
    _, turned = np.linalg.eigh(basis.T @ gram @ basis)
    return np.ascontiguousarray((basis @ turned[:, ::-1])[:, :number])


def raised(terms: Matrix) -> Matrix:
    """Terms, raised by the largest rounding error of sums with them."""
    return np.asarray(terms + _ROUNDING * np.abs(terms), dtype=np.float32)


def heads(along: Matrix, number: int, squares: NDArray[np.float64], last: Matrix | float) -> Matrix:
    """[rows, number + 3] for vectors with components `along` some axes [rows, axes] and squared lengths `squares`: the
    components along the first `number` axes, `last`, the length along the other axes, and the length along none.

    If the axes of both sides are balanced, and `last` is 1 on one side and a raised term on the other, products are not
    below those of the whole vectors plus the term.
    """
    made = np.empty((len(along), number + 3), dtype=np.float32)
    made[:, :number] = along[:, :number]
    made[:, number] = last
    first, second = squared(along[:, :number]), squared(along[:, number:])
    made[:, -2] = np.sqrt(second)
    # As if there were one more axis along which all vectors are as long as their rounding error: a product of two such
    # lengths exceeds that of the rests by this share of the product of whole lengths, however short a rest is.
    made[:, -1] = np.sqrt(np.maximum(squares - first - second, 0) + _ROUNDING * squares)
    return made
