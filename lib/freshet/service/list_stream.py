"""The stream that keeps lists fresh: from its source to the running query."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from freshet.contracts import STREAM_METRICS
from freshet.core.errors import DataTooSmallError
from freshet.runs.job import Job
from freshet.runs.policies import policy_of_lists
from freshet.runs.registered_models import RECOMMENDER, champion
from freshet.service.compaction.compaction import Compaction
from freshet.service.feeds import Feed, made_for, mapping_name
from freshet.service.lifecycle.checkpoint import has_finished_batch, opened_checkpoint, query_folder
from freshet.service.lifecycle.progress import backlog_of
from freshet.service.lifecycle.running import RunningQuery, WithChores, ended_on_failure, started
from freshet.service.lists.current_rules import CurrentRules
from freshet.service.lists.forgetting import Forgetting
from freshet.service.lists.handover import live_events, live_rows, table_handover, topic_handover
from freshet.service.lists.initial_histories import make_store, opened_store
from freshet.service.lists.item_refresh import ItemRefresh
from freshet.service.lists.list_making import ServedModel, in_process_scorer, warm_up
from freshet.service.lists.micro_batch import ListMaking, ListUpdates
from freshet.service.lists.query import state_layout, stream_session
from freshet.service.topic_feed import Topic, partitions_of, topic_records
from freshet.tables.maintenance.upkeep import Upkeep

LISTS_PART = "lists"


@dataclass
class Champion:
    """The model that serves, looked up again when `seconds` have passed: a promotion or a roll-back is picked up by
    the first micro-batch after that. Raises DataTooSmallError while no model serves."""

    job: Job
    seconds: float
    _model: ServedModel | None = field(default=None, init=False)
    _until: float = field(default=0.0, init=False)

    def __call__(self) -> ServedModel:
        if self._model is None or time.monotonic() >= self._until:
            version = champion(self.job, RECOMMENDER)
            if version is None:
                raise DataTooSmallError("no recommender serves, so there are no lists to keep fresh")
            policy = policy_of_lists(self.job)
            self._model = ServedModel(version.model_version, version.generation, version.folder, policy)
            self._until = time.monotonic() + self.seconds
        return self._model


def started_lists(job: Job, feed: Feed, notify: Callable[[str], None]) -> RunningQuery:
    """Starts the query that appends lists to `recommendation_updates` and compacts them into `recommendations`.

    Raises DataTooSmallError while no model serves, StateError when its checkpoint was made for something else.
    """
    settings = job.settings
    model = Champion(job, settings.service.swap_check_seconds)
    notify(f"model {model().version} serves")
    session = stream_session(job.spark, settings.stream)
    folder = query_folder(job.home.checkpoints, LISTS_PART)
    checkpoint = opened_checkpoint(folder, made_for(job, feed, LISTS_PART) | state_layout(session))
    events = list_events(job, session, feed, folder, notify=notify)
    compaction = Compaction(job.warehouse, job.home.locks, settings.compaction, job.now)
    rules = CurrentRules(
        job.warehouse, job.home.rules, settings.rules, settings.service.swap_check_seconds, job.now, notify
    )
    scorer = in_process_scorer(rules, settings.placements)
    warm_up(scorer, model(), clock=job.now(), length=settings.lists.length)
    making = ListMaking(
        scorer, model, settings.lists.length, job.now, epoch=lambda: compaction.epoch, is_live=True,
        backlog=backlog_of(session, LISTS_PART),
    )  # fmt: skip
    upkeep = Upkeep(job.warehouse, (STREAM_METRICS,), settings.compaction, job.now)
    store = opened_store(folder, most=settings.interactions.max_events)
    ended = (store.close, compaction.end, upkeep.end_packing, rules.close)
    with ended_on_failure(ended):
        rest = timedelta(minutes=settings.compaction.tidy_minutes)
        forgetting = Forgetting(store, settings.service, rest=rest, now=job.now)
        updates = ListUpdates(job.home.warehouse, f"{LISTS_PART}-{checkpoint.id}", store, making)
        chores = (
            compaction.between_batches, upkeep.between_batches, ItemRefresh(job).between_batches,
            forgetting.between_batches,
        )  # fmt: skip
        return started(
            LISTS_PART, events, WithChores(updates, chores), checkpoint=checkpoint.query, every_seconds=0, ended=ended
        )


def list_events(
    job: Job, session: SparkSession, feed: Feed, folder: Path, *, notify: Callable[[str], None]
) -> DataFrame:
    """The stream of STREAM_EVENT that lists are made from.

    Read straight from a topic, if the feed is one; otherwise from table `events`, which the intake of the feed fills.
    What the tables held when the stream first started is in the store in `folder`, next to the hand-over. A query that
    has finished a micro-batch resumes from its checkpoint in `folder`.
    """
    params, event_names = job.settings.service, job.settings.interactions.event_names

    def keep_history(events: DataFrame, where: Path) -> None:
        most, most_per_file = job.settings.interactions.max_events, job.settings.stream.max_events_per_slice
        make_store(events, where, event_names=event_names, most=most, most_per_file=most_per_file)

    if isinstance(feed, Topic):
        handover = topic_handover(
            job.warehouse, folder, source=mapping_name(feed), topic=feed.name, partitions=partitions_of(feed),
            keep_history=keep_history,
        )  # fmt: skip
        first = None if has_finished_batch(folder) else handover.offsets
        arrived = topic_records(job, session, feed, first=first, most=params.most_list_events, notify=notify)
        return live_events(arrived, event_names)
    version = table_handover(job.warehouse, folder, keep_history=keep_history)
    return live_rows(session, job.warehouse, after=version, event_names=event_names, most_files=params.most_list_files)
