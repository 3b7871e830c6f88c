"""Step replay: the live days replayed, and what fold-in was worth on them."""

import dataclasses
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts import EVALUATION_RESULTS, EVENTS, RECOMMENDATION_UPDATES, RECOMMENDATIONS, STREAM_METRICS
from freshet.contracts.shoppers import HISTORY
from freshet.errors import DataTooSmallError
from freshet.recommendation.lists import recommended
from freshet.steps.fitting import events_until
from freshet.steps.job import Job, Step
from freshet.steps.live import LivePlan, replay_live
from freshet.steps.live_quality import evaluate_live
from freshet.steps.models import RECOMMENDER, champion, champion_facts
from freshet.storage.small_writes import replace_collected
from freshet.streaming.micro_batch import ServedModel


def _inputs(job: Job) -> dict[str, Any]:
    policy = job.record("recommend").get("policy")
    return {"windows": job.record("build")["windows"], RECOMMENDER: champion_facts(job, RECOMMENDER), "policy": policy}


def _work(job: Job, fingerprint: str) -> dict[str, Any]:
    windows, version = job.windows(), champion(job, RECOMMENDER)
    if version is None:
        raise DataTooSmallError("no recommender serves, so there are no lists to keep fresh")
    if not windows.has_live_part:
        raise DataTooSmallError("live_days is 0, so there are no days to replay")
    policy, length = job.record("recommend")["policy"], job.settings.lists.length
    plan = LivePlan(
        fingerprint=fingerprint,
        start=windows.cut,
        end=windows.as_of,
        length=length,
        max_events=job.settings.interactions.max_events,
        stream=job.settings.stream,
    )
    model = ServedModel(version.model_version, version.generation, version.folder, policy)
    report = replay_live(job.home, job.warehouse, plan, model=model, scorer=recommended, now=job.now)
    rows = evaluate_live(
        events_until(job, windows),
        job.warehouse.read(RECOMMENDATIONS),
        job.warehouse.read(RECOMMENDATION_UPDATES),
        _newcomers_list(job, model, plan),
        plan=plan,
        target=job.record("build")["target"],
        evaluation=job.settings.evaluation,
        run_id=fingerprint,
    )
    replace_collected(job.warehouse, rows, EVALUATION_RESULTS, where=f"run_id = '{fingerprint}'")
    return dataclasses.asdict(report)


def _newcomers_list(job: Job, model: ServedModel, plan: LivePlan) -> DataFrame:
    """(items): what a shopper without history is served, a single row."""
    nobody = job.spark.range(1).select(F.lit("").alias("user_id"), F.array().cast(HISTORY).alias("history"))
    made = recommended(nobody, artifact=model.artifact, clock=plan.start, length=plan.length, policy=model.policy)
    return made.select("items")


REPLAY = Step(
    name="replay",
    title="Replay the live days",
    writes=(RECOMMENDATION_UPDATES, STREAM_METRICS, EVALUATION_RESULTS),
    reads=(EVENTS, RECOMMENDATIONS),
    sections=("stream", "lists", "interactions", "evaluation"),
    inputs=_inputs,
    work=_work,
)
