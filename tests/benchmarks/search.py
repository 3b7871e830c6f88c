"""Which settings of a search do well on several sources: where the defaults of conf/base.toml come from.

On every source the same settings are tried, drawn without regard to what came before (a round of all of them), on its
validation window alone. A setting's share is its NDCG over the best of that source; what is told is the mean share.
"""

import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from freshet.cli.opening import opened_job
from freshet.runs.runner import run_step
from freshet.runs.steps import BUILD, INGEST, TRAIN_RECOMMENDER
from tests.benchmarks.tables.spark_side import DATA

REPOSITORY = Path(__file__).parents[2]

SOURCES = {
    "online_retail_ii": "online_retail_II.parquet",
    "ml_1m": "ratings.parquet",
    "eshop_clothing_2008": "e-shop_clothing_2008.parquet",
    "taobao_userbehavior_2h": "UserBehavior.parquet",
    "tmall_2014": "t_alibaba_data.parquet",
}
QUICK = ("eshop_clothing_2008",)

SPACE = {
    "ranks": [128, 64, 256],
    "max_iters": [4, 8, 2],
    "reg_params": [0.3, 0.1, 1.0, 3.0],
    "alphas": [10.0, 1.0, 3.0, 30.0, 100.0],
    "item_half_lives_days": [30.0, 90.0, 0.0],
    "min_strengths": [0.0, 0.25],
}
ITEM_SPACE = {
    "linear_items.reg_params": [300.0, 100.0, 1000.0, 3000.0],
    "next_items.reg_params": [1000.0, 100.0, 3000.0, 10000.0],
    "neighbours.counts": [50, 20, 100],
}


def search(quick: bool, trials: int = 24) -> dict[str, Any]:
    """Mean share of the best by setting and by value, and by item model and value; the sources tried."""
    trials = 2 if quick else trials
    by_setting: dict[str, dict[str, float]] = defaultdict(dict)
    for source in QUICK if quick else SOURCES:
        for setting, ndcg in _trials(source, trials):
            by_setting[json.dumps(setting)][source] = ndcg
    shares = _shares(by_setting)
    for kind in ("factors", "neighbours", "linear_items", "next_items"):
        _print(kind, {text: each for text, each in shares.items() if json.loads(text)["kind"] == kind})
    means = {text: float(np.mean(list(each.values()))) for text, each in shares.items()}
    factors = {text: mean for text, mean in means.items() if json.loads(text)["kind"] == "factors"}
    best = max(factors, key=lambda text: factors[text])
    return {"trials": trials, "best_mean_share": round(factors[best], 4), "best": json.loads(best), "shares": shares}


def _trials(source: str, trials: int) -> list[tuple[dict[str, Any], float]]:
    """Settings and their NDCG, summed over policies, on the validation window of a source."""
    wishes = [f"search.{name}={json.dumps(values)}" for name, values in SPACE.items()]
    wishes += [f"item_models.{name}={json.dumps(values)}" for name, values in ITEM_SPACE.items()]
    # One round: nothing of it depends on what a source says, so that all sources try the same.
    wishes += [f"search.trials={trials}", f"search.trials_at_once={trials}", f"search.patience={trials}"]
    with tempfile.TemporaryDirectory(prefix="freshet-bench-") as folder:
        with opened_job(
            Path(folder), None, tuple(wishes), "local[*]", input_path=DATA / source / SOURCES[source],
            source=REPOSITORY / "conf" / "sources" / f"{source}.toml",
        ) as job:  # fmt: skip
            for step in (INGEST, BUILD, TRAIN_RECOMMENDER):
                run_step(step, job)
        (found,) = Path(folder).glob("mlflow/**/trials.json")
        told = json.loads(found.read_text())
    rows = [trial for trial in told if "weights" not in trial]
    return [({name: value for name, value in trial.items() if name != "ndcg"}, _sum(trial["ndcg"])) for trial in rows]


def _sum(ndcg: dict[str, float | None]) -> float:
    return sum(value for value in ndcg.values() if value is not None)


def _shares(by_setting: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """By setting and source, its NDCG over the best of its kind there."""
    best: dict[tuple[str, str], float] = defaultdict(float)
    for text, values in by_setting.items():
        for source, ndcg in values.items():
            place = (json.loads(text)["kind"], source)
            best[place] = max(best[place], ndcg)
    return {
        text: {
            source: round(ndcg / (best[json.loads(text)["kind"], source] or 1.0), 4) for source, ndcg in values.items()
        }
        for text, values in by_setting.items()
    }


def _print(kind: str, shares: dict[str, dict[str, float]]) -> None:
    sources = sorted({source for each in shares.values() for source in each})
    table = Table(title=f"{kind}: share of the best of each source", title_justify="left")
    for name in ("setting", "mean", *sources):
        table.add_column(name)
    for text, each in sorted(shares.items(), key=lambda pair: -float(np.mean(list(pair[1].values())))):
        setting = ", ".join(f"{name} {value:g}" for name, value in json.loads(text).items() if name != "kind")
        cells = [f"{each[source]:.3f}" if source in each else "-" for source in sources]
        table.add_row(setting, f"{np.mean(list(each.values())):.3f}", *cells)
    Console(width=150).print(table)
