"""Judges the lists of a finished home once more, shopper by shopper: python -m tests.benchmarks.shop_judging HOME FILE.

Table evaluation_results has means only, and the interval of a difference needs both figures of each shopper. Lists,
cases and truth are made by the product's own functions, as step evaluate makes them, so that the means are the same.
A process of its own, because its session ends with it.
"""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from freshet.cli.opening import opened_job
from freshet.contracts.policies import POLICIES
from freshet.core.records import read_record
from freshet.evaluation.baseline_strengths import baseline_candidates
from freshet.evaluation.ranking import paired_difference, per_user
from freshet.evaluation.splitting import known_before
from freshet.pipeline.recommender.list_judging import SERVED, collected, plain_lists, served_lists, truths
from freshet.pipeline.recommender.recommender_fits import Cases, events_until, judged_cases
from freshet.runs.job import Job
from freshet.runs.registered_models import RECOMMENDER, champion
from freshet.runs.steps import BUILD, EVALUATE, PROMOTE, TRAIN_RECOMMENDER

METRIC, K = "ndcg", 10

BLEND, PLAIN, UNSEARCHED = "blend", "plain methods", "unsearched"
"""What serves: the result of a search, the plain methods that replace a refused one, or what is fitted where too few
shoppers come back for a search."""

_ROUNDING = 1e-6
"""Figures of step evaluate are rounded by far less."""

NO_LISTS, NO_EVALUATION = "no lists", "no evaluation"


def judged_home(job: Job) -> dict[str, Any]:
    """What serves, and by task the figures of `_task`; without any, `reason` in two words and `message` in full."""
    version = champion(job, RECOMMENDER)
    evaluated = read_record(job.home.steps, EVALUATE.name) or {"not_built": "step evaluate has not run"}
    if version is None or "not_built" in evaluated:
        reason = NO_LISTS if version is None else NO_EVALUATION
        serves = None if version is None else _kind(job)
        return {"serves": serves, "reason": reason, "message": evaluated["not_built"], "tasks": {}}
    windows, settings = job.windows(), job.settings.evaluation
    target, length = job.record(BUILD)["target"], max(settings.ks)
    protocol, cases = _cases(job, windows.cut, windows.as_of)
    truth = truths(cases, target=target, seed=settings.seed)
    served = served_lists(cases, artifact=version.folder, clock=windows.cut, length=length, model=SERVED)
    made = collected(served, _plain(job, cases, protocol, windows.cut))
    judged = per_user(made, truth, ks=[K], by=("task", "model"))
    earlier = _means(_judged_before(job))
    tasks = {task: _task(job, judged, earlier, task) for task in POLICIES}
    message = _differing(tasks, evaluated["figures"])
    facts = {"serves": _kind(job), "target": target, "protocol": protocol}
    return {**facts, "reason": "", "message": message, "tasks": tasks}


def _differing(tasks: dict[str, dict[str, Any]], figures: list[dict[str, Any]]) -> str:
    """The tasks whose served lists step evaluate has judged otherwise, in words; empty as it should be."""
    ours = {"model": SERVED, "metric": METRIC, "k": K}
    recorded = {row["task"]: row["value"] for row in figures if ours.items() <= row.items()}
    wrong = [task for task, of_task in tasks.items()
             if abs(of_task.get("served", 0.0) - recorded.get(task, 0.0)) > _ROUNDING]  # fmt: skip
    return f"step evaluate has other figures of {' and '.join(wrong)}" if wrong else ""


def _kind(job: Job) -> str:
    if "plain" in job.record(PROMOTE):
        return PLAIN
    return BLEND if job.record(TRAIN_RECOMMENDER)["ndcg"] else UNSEARCHED


def _cases(job: Job, start: datetime, end: datetime) -> Cases:
    target, most = job.record(BUILD)["target"], job.settings.evaluation.max_users
    return judged_cases(job, job.windows(), start=start, end=end, target=target, at_most=most)


def _plain(job: Job, cases: DataFrame, protocol: str, cut: datetime) -> DataFrame:
    """The lists of all plain methods that the gate knows, from what was known before the cut."""
    settings = job.settings.evaluation
    candidates = baseline_candidates(
        half_lives_days=settings.baseline_half_lives_days, windows_days=settings.baseline_windows_days
    )
    return plain_lists(
        known_before(events_until(job, job.windows()), cut), cases, protocol=protocol, baselines=candidates, as_of=cut,
        target=job.record(BUILD)["target"], length=max(settings.ks), params=settings,
    )  # fmt: skip


def _judged_before(job: Job) -> pa.Table:
    """The plain methods on the validation days."""
    windows = job.windows()
    protocol, cases = _cases(job, windows.validation_cut, windows.cut)
    truth = truths(cases, target=job.record(BUILD)["target"], seed=job.settings.evaluation.seed)
    return per_user(
        collected(_plain(job, cases, protocol, windows.validation_cut)), truth, ks=[K], by=("task", "model")
    )


def _means(judged: pa.Table) -> dict[tuple[str, str], float]:
    rows = judged.group_by(["task", "model"]).aggregate([(METRIC, "mean")]).to_pylist()
    return {(row["task"], row["model"]): row[f"{METRIC}_mean"] for row in rows}


def _task(job: Job, judged: pa.Table, earlier: dict[tuple[str, str], float], task: str) -> dict[str, Any]:
    """The mean of the served list, the number of shoppers, and by plain method its mean on the test and on the
    validation days, and the difference served minus plain with its interval. Empty if nobody could be judged."""
    own = judged.filter((pc.field("task") == task) & (pc.field("model") == SERVED))
    plain = judged.filter((pc.field("task") == task) & (pc.field("model") != SERVED))
    if not own.num_rows:
        return {}
    means = _means(judged)
    rows = paired_difference(
        own.drop_columns(["task", "model"]), plain, metric=METRIC, k=K,
        samples=job.settings.evaluation.bootstrap_samples, by=("model",),
    )  # fmt: skip
    methods = {
        row["model"]: {
            "test": means[task, row["model"]], "validation": earlier.get((task, row["model"])),
            "difference": row["value"], "low": row["low"], "high": row["high"],
        }
        for row in rows
    }  # fmt: skip
    return {"served": means[task, SERVED], "shoppers": own.num_rows, "plain": methods}


def main(home: str, file: str) -> None:
    """Writes what `judged_home` finds to a file, as JSON."""
    with opened_job(Path(home), None, (), "local[*]", must_exist=True, needs_mlflow=True) as job:
        found = judged_home(job)
    Path(file).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
