"""Trials of settings that a search library (Optuna) proposes, in rounds; an interrupted search continues where it was.

Proposals of a round come from a sampler whose seed is that of the search plus the number of trials so far. So they
depend only on the trials before them, and a search that continues from its record ends like one without interruption.
"""

import itertools
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pyspark.sql import SparkSession

from freshet.core.errors import StateError
from freshet.core.threads import side_by_side

if TYPE_CHECKING:
    from optuna import Study

Setting = dict[str, float]
"""A value for each name of a space."""

_DRAWS = 20
"""Draws per trial of a round: in small spaces most settings have soon been tried, and draws repeat them."""


@dataclass(frozen=True)
class Effort:
    """At most `trials`, `at_once` in parallel; ended early when `patience` of them gained less than `min_gain`."""

    trials: int
    at_once: int
    patience: int
    min_gain: float
    seed: int

    def __post_init__(self) -> None:
        if min(self.trials, self.at_once, self.patience) < 1:
            raise ValueError("trials, trials_at_once and patience must be 1 or more")


class Judged(NamedTuple):
    """A setting and its value; None if it cannot be evaluated."""

    setting: Setting
    value: float | None


def studied(
    space: dict[str, tuple[float, ...]],
    judge: Callable[[Setting], float | None],
    *,
    effort: Effort,
    record: Path,
    spark: SparkSession,
) -> list[Judged]:
    """All trials in their order, each setting once; the first setting has the first value of every name.

    `space` gives the values by name. `record` keeps all trials after every round and is read if it exists; the caller
    removes it. Raises StateError when it has other content, and any error of `judge`.
    """
    known = _read(record, space)
    size = math.prod(len(values) for values in space.values())
    while len(known) < min(effort.trials, size) and not _stale(known, effort):
        count = min(effort.at_once, effort.trials - len(known), size - len(known))
        proposals = _proposals(space, known, count, effort)
        values = side_by_side(judge, proposals, spark=spark, at_once=len(proposals))
        known += [Judged(*pair) for pair in zip(proposals, values, strict=True)]
        _write(record, known)
    return known


def best_of(trials: list[Judged]) -> Judged | None:
    """The trial with the highest value, the earliest of equal ones; None if no trial could be evaluated."""
    judged = [trial for trial in trials if trial.value is not None]
    return max(judged, key=lambda trial: trial.value or 0.0, default=None)


def _stale(known: list[Judged], effort: Effort) -> bool:
    best, since = -math.inf, 0
    for trial in known:
        since += 1
        if trial.value is not None and trial.value > best + effort.min_gain:
            best, since = trial.value, 0
    return since >= effort.patience


def _proposals(space: dict[str, tuple[float, ...]], known: list[Judged], count: int, effort: Effort) -> list[Setting]:
    start = {name: values[0] for name, values in space.items()}
    tried = [trial.setting for trial in known]
    proposals = [] if start in tried else [start]
    study = _study(space, known, effort)
    for setting in itertools.chain(_drawn(study, space, count), _every(space)):
        if len(proposals) == count:
            break
        if setting not in tried and setting not in proposals:
            proposals.append(setting)
    return proposals


def _study(space: dict[str, tuple[float, ...]], known: list[Judged], effort: Effort) -> "Study":
    # Imported here because the import takes a second, which commands without a search need not wait for.
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=effort.seed + len(known), n_startup_trials=2 * effort.at_once)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.IntDistribution(0, len(values) - 1) for name, values in space.items()
    }
    for trial in known:
        if trial.value is not None:
            places = {name: sorted(values).index(trial.setting[name]) for name, values in space.items()}
            study.add_trial(optuna.trial.create_trial(params=places, distributions=distributions, value=trial.value))
    return study


def _drawn(study: "Study", space: dict[str, tuple[float, ...]], count: int) -> Iterator[Setting]:
    """The proposals of the sampler. It works with the index of each value in rising order, so it knows distances."""
    for _ in range(count * _DRAWS):
        trial = study.ask()
        yield {name: sorted(values)[trial.suggest_int(name, 0, len(values) - 1)] for name, values in space.items()}


def _every(space: dict[str, tuple[float, ...]]) -> Iterator[Setting]:
    for values in itertools.product(*space.values()):
        yield dict(zip(space, values, strict=True))


def _read(record: Path, space: dict[str, tuple[float, ...]]) -> list[Judged]:
    if not record.is_file():
        return []
    try:
        known = [Judged(dict(setting), value) for setting, value in json.loads(record.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise StateError(f"the record of a search cannot be read: {error}", where=str(record), do="Remove it") from None
    fits = all(trial.setting.get(name) in values for trial in known for name, values in space.items())
    if not fits:
        raise StateError("the record is of another search", where=str(record), do="Remove it")
    return known


def _write(record: Path, known: list[Judged]) -> None:
    """Writes the record atomically: after a failure it is the new or the old one, never incomplete."""
    record.parent.mkdir(parents=True, exist_ok=True)
    part = record.with_name(f".{record.name}.{os.getpid()}.part")
    part.write_text(json.dumps(known), encoding="utf-8")
    part.replace(record)
