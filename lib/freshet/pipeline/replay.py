"""Step replay: the live days replayed, and what fold-in was worth on them."""

import dataclasses
import os
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from freshet.contracts import EVALUATION_RESULTS, RECOMMENDATION_UPDATES, RECOMMENDATIONS, STREAM_METRICS
from freshet.core.errors import DataTooSmallError, StateError
from freshet.pipeline.live_quality import evaluate_live
from freshet.pipeline.recommender_fits import events_until
from freshet.ranking.lists import recommended_in_process
from freshet.ranking.packed_histories import EMPTY
from freshet.runs.job import Job
from freshet.runs.registered_models import RECOMMENDER, champion, champion_facts
from freshet.runs.steps import BUILD, RECOMMEND
from freshet.service.lists.list_making import ServedModel
from freshet.service.lists.live_replay import QUERY_PREFIX, LivePlan, replay_live
from freshet.tables.lookups.figures import rows_where
from freshet.tables.small_writes import replace_rows


def inputs(job: Job) -> dict[str, Any]:
    """The windows, the champion and its policy."""
    policy = job.record(RECOMMEND).get("policy")
    return {"windows": job.record(BUILD)["windows"], RECOMMENDER: champion_facts(job, RECOMMENDER), "policy": policy}


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Replays the live days and judges them; keeps the figures of the replay."""
    windows, version = job.windows(), champion(job, RECOMMENDER)
    if version is None:
        raise DataTooSmallError("no recommender serves, so there are no lists to keep fresh")
    if not windows.has_live_part:
        raise DataTooSmallError("live_days is 0, so there are no days to replay")
    of_service = ~pc.starts_with(pc.field("query_id"), QUERY_PREFIX)
    if any(rows_where(job.warehouse, table, of_service) for table in (RECOMMENDATION_UPDATES, STREAM_METRICS)):
        raise DataTooSmallError("lists or figures of a service stand in this home, and a replay would remove them")
    policy, length = job.record(RECOMMEND).get("policy"), job.settings.lists.length
    if policy is None:
        raise StateError(
            "the lists that the replay goes on from were not made yet: no recommender served at that time",
            where=str(job.home.root), do="Run `freshet recommend` first",
        )  # fmt: skip
    plan = LivePlan(
        fingerprint=fingerprint,
        start=windows.cut,
        end=windows.as_of,
        length=length,
        max_events=job.settings.interactions.max_events,
        event_names=job.settings.interactions.event_names,
        stream=job.settings.stream,
    )
    model = ServedModel(version.model_version, version.generation, version.folder, policy)
    scorer = partial(recommended_in_process, threads=os.cpu_count() or 1)
    report = replay_live(job.home, job.warehouse, plan, model=model, scorer=scorer, now=job.now)
    rows = evaluate_live(
        events_until(job, windows),
        job.warehouse.read(RECOMMENDATIONS),
        job.warehouse.read(RECOMMENDATION_UPDATES),
        _newcomers_list(model, plan),
        plan=plan,
        target=job.record(BUILD)["target"],
        evaluation=job.settings.evaluation,
        run_id=fingerprint,
    )
    replace_rows(job.warehouse, rows, EVALUATION_RESULTS, where=f"run_id = '{fingerprint}'")
    return dataclasses.asdict(report)


def _newcomers_list(model: ServedModel, plan: LivePlan) -> list[str]:
    """The items that a shopper without history is served, best first."""
    nobody = pa.table({"user_id": [""]})
    made = recommended_in_process(
        nobody, EMPTY, artifact=model.artifact, clock=plan.start, length=plan.length, policy=model.policy, threads=1
    )
    return [item["item_id"] for item in made.column("items")[0].as_py()]
