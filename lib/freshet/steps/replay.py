"""Step replay: the live days replayed, and what fold-in was worth on them."""

import dataclasses
import os
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from freshet.contracts import EVALUATION_RESULTS, EVENTS, RECOMMENDATION_UPDATES, RECOMMENDATIONS, STREAM_METRICS
from freshet.errors import DataTooSmallError
from freshet.recommendation.lists import recommended_at_hand
from freshet.recommendation.packed_histories import EMPTY
from freshet.steps.fitting import events_until
from freshet.steps.job import Job, Step
from freshet.steps.live import QUERY_PREFIX, LivePlan, replay_live
from freshet.steps.live_quality import evaluate_live
from freshet.steps.models import RECOMMENDER, champion, champion_facts
from freshet.storage.figures import rows_where
from freshet.storage.small_writes import replace_rows
from freshet.streaming.made_lists import ServedModel


def _inputs(job: Job) -> dict[str, Any]:
    policy = job.record("recommend").get("policy")
    return {"windows": job.record("build")["windows"], RECOMMENDER: champion_facts(job, RECOMMENDER), "policy": policy}


def _work(job: Job, fingerprint: str) -> dict[str, Any]:
    windows, version = job.windows(), champion(job, RECOMMENDER)
    if version is None:
        raise DataTooSmallError("no recommender serves, so there are no lists to keep fresh")
    if not windows.has_live_part:
        raise DataTooSmallError("live_days is 0, so there are no days to replay")
    of_service = ~pc.starts_with(pc.field("query_id"), QUERY_PREFIX)
    if any(rows_where(job.warehouse, table, of_service) for table in (RECOMMENDATION_UPDATES, STREAM_METRICS)):
        raise DataTooSmallError("lists or figures of a service stand in this home, and a replay would remove them")
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
    scorer = partial(recommended_at_hand, threads=os.cpu_count() or 1)
    report = replay_live(job.home, job.warehouse, plan, model=model, scorer=scorer, now=job.now)
    rows = evaluate_live(
        events_until(job, windows),
        job.warehouse.read(RECOMMENDATIONS),
        job.warehouse.read(RECOMMENDATION_UPDATES),
        _newcomers_list(model, plan),
        plan=plan,
        target=job.record("build")["target"],
        evaluation=job.settings.evaluation,
        run_id=fingerprint,
    )
    replace_rows(job.warehouse, rows, EVALUATION_RESULTS, where=f"run_id = '{fingerprint}'")
    return dataclasses.asdict(report)


def _newcomers_list(model: ServedModel, plan: LivePlan) -> list[str]:
    """The items that a shopper without history is served, best first."""
    nobody = pa.table({"user_id": [""]})
    made = recommended_at_hand(
        nobody, EMPTY, artifact=model.artifact, clock=plan.start, length=plan.length, policy=model.policy, threads=1
    )
    return [item["item_id"] for item in made.column("items")[0].as_py()]


REPLAY = Step(
    name="replay",
    after=("recommend",),
    writes=(RECOMMENDATION_UPDATES, STREAM_METRICS, EVALUATION_RESULTS),
    reads=(EVENTS, RECOMMENDATIONS),
    sections=("stream", "lists", "interactions", "evaluation"),
    inputs=_inputs,
    work=_work,
)
