"""Trials on validation parts: each is a line of JSON with an id, so that a chosen setting can be traced."""

import hashlib
import json
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

TRIALS = Path(__file__).parents[3] / ".freshet-bench" / "trials.jsonl"


@dataclass(frozen=True)
class Trial:
    """One setting judged on a validation part; `id` is a hash of all else, equal for equal trials."""

    id: str
    table: str
    part: str
    setting: dict[str, Any]
    metric: str
    value: float


def recorded(table: str, part: str, setting: Any, metric: str, value: float) -> Trial:
    """The trial, added to the file of trials."""
    values = asdict(setting) if is_dataclass(setting) and not isinstance(setting, type) else dict(setting)
    body = {"table": table, "part": part, "setting": values, "metric": metric, "value": round(value, 6)}
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]
    trial = Trial(digest, table, part, values, metric, value)
    TRIALS.parent.mkdir(exist_ok=True)
    with TRIALS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(trial), sort_keys=True) + "\n")
    return trial


def best(trials: list[Trial]) -> Trial:
    """The trial of the highest value, the earliest of equals."""
    return max(trials, key=lambda trial: trial.value)
