"""Rounds of a logging policy: what was shown, how probable that was, and what it earned."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from freshet.core.errors import InputError, listed

_WHERE = "logged rounds"


@dataclass(frozen=True)
class LoggedRounds:
    """One element per round in each array; a round is one item (an action) in one place of a list.

    Sequences of numbers are accepted and become arrays. Raises InputError, with all problems at once, for arrays of
    different lengths or of more than one dimension, for no round at all, for NaN, null and infinite numbers, for
    propensities that are not above 0 and at most 1 and probabilities outside 0 to 1, and for one of `predicted` and
    `expected` without the other.
    """

    reward: NDArray[np.float64]
    """What the round earned, in any unit: 1 for a click, else 0, or revenue."""

    propensity: NDArray[np.float64]
    """The probability with which the logging policy took the action that it took, above 0."""

    probability: NDArray[np.float64]
    """The probability with which the evaluated policy takes that action in the same context (and position)."""

    cluster: NDArray[Any] | None = None
    """Who the round belongs to, such as the shopper; rounds of a cluster may depend on each other. None: every round is
    independent of the others."""

    position: NDArray[Any] | None = None
    """The place in the list; only `by_position` uses it."""

    predicted: NDArray[np.float64] | None = None
    """A model's expected reward of the logged action in this context."""

    expected: NDArray[np.float64] | None = None
    """The same model's expected reward under the evaluated policy: its predictions of all actions, weighted by their
    probabilities."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        for field in fields(self):
            given = getattr(self, field.name)
            if given is not None:
                is_number = field.name not in ("cluster", "position")
                array = _numbers(given, field.name, problems) if is_number else np.asarray(given)
                object.__setattr__(self, field.name, array)
        problems += self._problems()
        if problems:
            raise InputError(listed(problems), where=_WHERE)

    def __len__(self) -> int:
        return len(self.reward)

    def _problems(self) -> list[str]:
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        known = {name: array for name, array in arrays.items() if array is not None}
        problems = [f"{name} must have one dimension, has {array.ndim}" for name, array in known.items()
                    if array.ndim != 1]  # fmt: skip
        lengths = {name: len(array) for name, array in known.items() if array.ndim == 1}
        if len(set(lengths.values())) > 1:
            problems.append("lengths differ: " + ", ".join(f"{name} {length}" for name, length in lengths.items()))
        if set(lengths.values()) == {0}:
            problems.append("there are none")
        for name, low, high in (("propensity", 0.0, 1.0), ("probability", 0.0, 1.0)):
            array = arrays[name]
            is_wrong = (array < low) | (array > high) | (array == 0.0 if name == "propensity" else False)
            bounds = "above 0 and at most 1" if name == "propensity" else "from 0 to 1"
            problems += _found(array, is_wrong, f"{name} must be {bounds}")
        if (self.predicted is None) != (self.expected is None):
            problems.append("predicted and expected are given together or not at all")
        return problems

    def only(self, mask: NDArray[np.bool_]) -> "LoggedRounds":
        """The rounds of the mask. Raises InputError if there are none."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: array[mask] for name, array in arrays.items() if array is not None})

    def by_position(self) -> "dict[Any, LoggedRounds]":
        """The rounds of each position, in the order of positions; raises InputError if positions are not known."""
        if self.position is None:
            raise InputError("positions are not known", where=_WHERE)
        return {place: self.only(self.position == place) for place in np.unique(self.position).tolist()}


def _numbers(given: ArrayLike, name: str, problems: list[str]) -> NDArray[np.float64]:
    try:
        array = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        problems.append(f"{name} must hold numbers")
        return np.zeros(np.shape(np.asarray(given, dtype=object)))
    problems += _found(array, ~np.isfinite(array), f"{name} must hold finite numbers")
    return array


def _found(array: NDArray[np.float64], is_wrong: NDArray[np.bool_], wanted: str) -> list[str]:
    count = int(np.count_nonzero(is_wrong))
    if not count:
        return []
    first = int(np.flatnonzero(is_wrong)[0])
    return [f"{wanted}, is {array.flat[first]} in round {first}" + (f" and wrong in {count - 1} more" * (count > 1))]
