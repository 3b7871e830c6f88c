"""Choosing by hand, instead of by the gate, which version of a model serves: states, promotion and roll-back.

Needs no Spark. A running stream uses the choice after its next check of the registry.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from pyspark.sql import SparkSession

from freshet.contracts import MODEL_DECISIONS
from freshet.core.errors import StateError
from freshet.registry.store import DATABASE
from freshet.registry.versions import CHALLENGER, CHAMPION, ModelVersion, Registry
from freshet.runs.home import Home
from freshet.runs.registered_models import PROPENSITY, RECOMMENDER, SEGMENTS
from freshet.tables.leases import leases
from freshet.tables.lookups.snapshot import rows_where
from freshet.tables.small_writes import append_row
from freshet.tables.warehouse import Warehouse

MODELS = (RECOMMENDER, PROPENSITY, SEGMENTS)
JOB = "model-choice"
"""Name of the lease."""


@dataclass(frozen=True)
class VersionState:
    """A version, its aliases (champion: it serves; challenger: it waits for the gate) and the decisions on it, oldest
    first, as rows of `model_decisions`."""

    version: ModelVersion
    aliases: tuple[str, ...]
    decisions: tuple[dict[str, Any], ...]


def version_states(home: Home) -> list[VersionState]:
    """Every version of every model, oldest first within a model. Raises StateError if no model was trained."""
    store = _opened(home)
    found = [state for name in MODELS for state in _states(home, store, name)]
    if not found:
        raise _no_model(home, "any model")
    return found


def _states(home: Home, store: Registry, name: str) -> list[VersionState]:
    aliased = {CHAMPION: store.champion(name), CHALLENGER: store.challenger(name)}
    rows = sorted(rows_where(home.warehouse, MODEL_DECISIONS, "model_name", name), key=lambda row: row["decided_at"])
    return [
        VersionState(
            version,
            tuple(alias for alias, holder in aliased.items() if holder and holder.version == version.version),
            # A decision names the minor version at its time.
            tuple(row for row in rows if row["model_version"].partition(".")[0] == str(version.version)),
        )
        for version in store.versions(name)
    ]


def serve_version(home: Home, name: str, version: int, *, reason: str, now: datetime) -> ModelVersion | None:
    """Makes a version champion and adds the decision to `model_decisions`; does nothing and returns None if it already
    is champion.

    Its generation becomes one more than the highest so far, also for a version that served before. The gate does not
    promote the replaced version again. Raises StateError if there is no such version or its files were removed,
    BusyError while the gate decides.
    """
    store = _opened(home)
    with leases(home.locks, JOB, [MODEL_DECISIONS.name]):
        versions = store.versions(name)
        if not versions:
            raise _no_model(home, name)
        chosen = next((one for one in versions if one.version == version), None)
        if chosen is None:
            raise _no_such_version(name, version, versions)
        champion = store.champion(name)
        if champion is not None and champion.version == version:
            return None
        if not chosen.folder.is_dir():
            raise StateError(f"the files of {name} version {version} are gone", where=str(chosen.folder))
        _record(home, chosen, champion, reason, now)
        return store.choose(name, version, reason=reason)


def serve_previous_champion(home: Home, name: str, *, reason: str, now: datetime) -> ModelVersion:
    """Calls `serve_version` with the previous champion, so that a second call undoes the first.

    Raises StateError if there is no previous champion.
    """
    before = _opened(home).previous_champion(name)
    if before is None:
        raise StateError(
            f"no version of {name} has served before the champion", where=str(home.root),
            do="`freshet models` shows the versions; `freshet promote --version N` serves one of them",
        )  # fmt: skip
    served = serve_version(home, name, before.version, reason=reason, now=now)
    assert served is not None  # it was not the champion
    return served


def _record(home: Home, chosen: ModelVersion, champion: ModelVersion | None, reason: str, now: datetime) -> None:
    row = {
        "decided_at": now,
        "model_name": chosen.name,
        "model_version": chosen.model_version,
        "champion_version": None if champion is None else champion.model_version,
        "accepted": True,
        "reasons": [reason],
        "metrics": [],
    }
    warehouse = Warehouse(cast(SparkSession, None), home.warehouse)  # appending a row needs no session
    warehouse.create(MODEL_DECISIONS)
    append_row(warehouse, row, MODEL_DECISIONS)


def _opened(home: Home) -> Registry:
    if not Path(home.mlflow, DATABASE).is_file():
        raise _no_model(home, "any model")
    return Registry(home.mlflow)


def _no_model(home: Home, name: str) -> StateError:
    return StateError(f"there is no version of {name}", where=str(home.root), do="Run `freshet train` first")


def _no_such_version(name: str, version: int, versions: Sequence[ModelVersion]) -> StateError:
    known = ", ".join(str(one.version) for one in versions)
    return StateError("no such model version", where=name, expected=f"one of {known}", found=str(version))
