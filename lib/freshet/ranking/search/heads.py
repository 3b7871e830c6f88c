"""Heads of vectors: bounds of scores that cost a small part of a product, for shoppers whose directions are alike.

The vectors of such shoppers lie near few axes. Along these, the head of a vector, the product is taken; what all others
can give is at most the product of the two rests' lengths (Cauchy and Schwarz). Heads, with the length of the rest as
one more number, so give a bound of the score, as in FEXIPRO (Li, Chan, Yiu and Mamoulis, SIGMOD 2017), which has the
same axes for all shoppers. The rest is parted in two, the next axes and all others, for a bound of each: along the next
ones shoppers are longer than along the others, items are not. By the cost that lengths are chosen by, searches at rank
256 are a tenth cheaper so.

A product stays what it is if one side is stretched and the other shrunk as much. Both are balanced first, by the fourth
root of the items' Gram matrix: along axes where items are long and shoppers short, both are then of middle length.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

_ROUNDING = 1e-4
"""Of a bound: what single precision may be off by along axes that are stretched, several times over."""

_LEAST_SQUARE = 1e-4
"""Of the largest eigenvalue of a Gram matrix: what smaller ones are taken for, so that nothing is stretched or shrunk
more than tenfold."""

_ROWS = 4096
"""Of 256 numbers, 4 MB."""

_OVERSAMPLED, _ROUNDS = 8, 2
"""More axes than are looked for, and rounds of iteration; with two, as few items are left as with exact axes."""


@dataclass(frozen=True)
class Balance:
    """What both sides are multiplied with: shoppers, items float32 [rank, rank], inverse to each other; squares
    [items]: of the lengths of items then."""

    shoppers: Matrix
    items: Matrix
    squares: NDArray[np.float64]


def balance(vectors: Matrix) -> Balance | None:
    """Of item vectors [items, rank]; None where they are not finite or all zero."""
    largest = np.float32(max(vectors.max(initial=0), -vectors.min(initial=0)))
    if not 0 < largest < np.inf:
        return None
    gram = np.zeros((vectors.shape[1], vectors.shape[1]))
    for part in _parts(vectors):
        # Of numbers of 1 at most squares are neither infinite nor, where they count, 0.
        near = part / largest
        gram += near.T @ near
    squares, axes = np.linalg.eigh(gram)
    roots = np.sqrt(largest) * np.maximum(squares, _LEAST_SQUARE * squares[-1]) ** 0.25
    shrunk = ((axes / roots) @ axes.T).astype(np.float32)
    lengths = np.concatenate([squared(part @ shrunk) for part in _parts(vectors)])
    return Balance(((axes * roots) @ axes.T).astype(np.float32), shrunk, lengths)


def _parts(vectors: Matrix) -> Iterator[Matrix]:
    """Some rows at a time, which stay in a processor's cache."""
    return (vectors[start : start + _ROWS] for start in range(0, len(vectors), _ROWS))


def squared(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """The square of each row's length; of single precision many would be no number or 0."""
    return np.asarray(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))


def principal_axes(vectors: Matrix, number: int) -> Matrix:
    """About the first principal axes, [rank, number at most]: subspace iteration (Halko, Martinsson and Tropp 2011)."""
    gram = vectors.T @ vectors
    started = np.linspace(0, len(vectors) - 1, min(len(vectors), number + _OVERSAMPLED, len(gram))).astype(np.int64)
    basis, _ = np.linalg.qr(vectors[started].T)
    for _ in range(_ROUNDS):
        basis, _ = np.linalg.qr(gram @ basis)
    _, turned = np.linalg.eigh(basis.T @ gram @ basis)
    return np.ascontiguousarray((basis @ turned[:, ::-1])[:, :number])


def raised(terms: Matrix) -> Matrix:
    """Terms, and what rounding may take from sums with them."""
    return np.asarray(terms + _ROUNDING * np.abs(terms), dtype=np.float32)


def heads(along: Matrix, number: int, squares: NDArray[np.float64], last: Matrix | float) -> Matrix:
    """[rows, number + 3] of vectors that reach so far `along` some axes [rows, axes] and are `squares` long in all: how
    far along the first `number`, `last` numbers, the length along the other axes, and the length along none.

    Where axes of both sides are the balanced ones, and `last` is 1 on one side and a raised term on the other, products
    are not below those of the whole vectors plus the term.
    """
    made = np.empty((len(along), number + 3), dtype=np.float32)
    made[:, :number] = along[:, :number]
    made[:, number] = last
    first, second = squared(along[:, :number]), squared(along[:, number:])
    made[:, -2] = np.sqrt(second)
    # As if there were one more axis along which all vectors are as long as their rounding: a product of two such
    # lengths is above that of the rests by that share of the product of whole lengths, however short a rest is.
    made[:, -1] = np.sqrt(np.maximum(squares - first - second, 0) + _ROUNDING * squares)
    return made
