"""The service: two streams in one process, one that takes events in and one that keeps lists fresh, until told to stop.

One process, so that one writer of each table is there by construction; a second one is refused by the leases.
"""

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pyspark.sql import DataFrame

from freshet.cleaning.source import read_mapping
from freshet.contracts import EVENTS, QUARANTINE, RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.errors import DataTooSmallError, FreshetError, StateError
from freshet.messages.topics import partitions_of_topics
from freshet.recommendation.lists import recommended
from freshet.steps.job import Job
from freshet.steps.models import RECOMMENDER, champion
from freshet.storage.lease import leases
from freshet.storage.ledger import fingerprint, read_record, write_record
from freshet.streaming.arrivals import arrivals
from freshet.streaming.compaction import Compaction
from freshet.streaming.handover import handed_over, history_stream, live_events, next_offsets, starting_offsets
from freshet.streaming.histories import touched_histories
from freshet.streaming.intake import EventIntake, IntakeRules
from freshet.streaming.micro_batch import ListMaking, ListUpdates, ServedModel
from freshet.streaming.query import stream_session
from freshet.streaming.records import kafka_records
from freshet.streaming.running import RunningQuery, WithChores, started
from freshet.streaming.upkeep import Upkeep

WRITES = (EVENTS, QUARANTINE, RECOMMENDATION_UPDATES, STREAM_METRICS)


@dataclass(frozen=True)
class Topic:
    """A Kafka topic and the mapping of its JSON records.

    `options` are of Spark's Kafka source (kafka.bootstrap.servers among them), `client` those of the client that asks
    for the topic's partitions.
    """

    mapping: Path
    name: str
    options: dict[str, str]
    client: dict[str, str]


@dataclass
class Champion:
    """The model that serves, looked up anew when `seconds` have passed: a promotion is picked up by the next
    micro-batch after that, a roll-back likewise. Raises DataTooSmallError while none serves."""

    job: Job
    seconds: float
    _model: ServedModel | None = field(default=None, init=False)
    _until: float = field(default=0.0, init=False)

    def __call__(self) -> ServedModel:
        if self._model is None or time.monotonic() >= self._until:
            version = champion(self.job, RECOMMENDER)
            if version is None:
                raise DataTooSmallError("no recommender serves, so there are no lists to keep fresh")
            policy = self.job.record("recommend")["policy"]
            self._model = ServedModel(version.model_version, version.generation, version.folder, policy)
            self._until = time.monotonic() + self.seconds
        return self._model


def serve(job: Job, topic: Topic, *, stop: threading.Event, tell: Callable[[str], None]) -> None:
    """Runs both streams until `stop` is set, then ends each between two micro-batches.

    Raises what ended a stream; the other one is stopped first. Raises BusyError when another process serves this home
    or writes one of its tables, StateError when the checkpoints were made for something else.
    """
    with leases(job.home.locks, "serve", [table.name for table in WRITES]):
        for table in WRITES:
            job.warehouse.create(table)
        model = Champion(job, job.settings.serve.swap_check_seconds)
        tell(f"model {model().version} serves")
        folder = _checkpoints(job, topic)
        running = _both(job, topic, folder, model)
        tell("running")
        try:
            while not stop.wait(timeout=0.2):
                for one in running:
                    one.raise_failure()
                    if not one.query.isActive:
                        raise StateError("the stream ended by itself", where=one.name, do="Start it again")
        finally:
            for one in running:
                one.stop(within_seconds=job.settings.serve.stop_seconds)


def forget_progress(job: Job) -> None:
    """Removes the checkpoints, so that the next start takes over from the tables: nothing is lost or doubled."""
    with leases(job.home.locks, "serve", []):
        shutil.rmtree(_folder(job), ignore_errors=True)


def _folder(job: Job) -> Path:
    return job.home.checkpoints / "serve"


def _checkpoints(job: Job, topic: Topic) -> Path:
    """The folder of both checkpoints; StateError when they stand for something that must not change under them."""
    folder, settings = _folder(job), job.settings
    parts = {
        "mapping": topic.mapping.read_text(encoding="utf-8"),
        "topic": topic.name,
        "shuffle_partitions": settings.stream.shuffle_partitions,
        "max_events": settings.interactions.max_events,
    }
    wished = {"fingerprint": fingerprint(parts), **parts}
    known = read_record(folder, "made-for")
    if known is None:
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder, "made-for", wished)
    elif known["fingerprint"] != wished["fingerprint"]:
        changed = ", ".join(name for name in parts if known.get(name) != parts[name])
        raise StateError(
            f"the stream was begun with another {changed}", where=str(folder),
            do="Change it back, or begin anew with --rebuild: nothing is lost or doubled",
        )  # fmt: skip
    return folder


def _both(job: Job, topic: Topic, folder: Path, model: Champion) -> list[RunningQuery]:
    settings, params = job.settings, job.settings.serve
    mapping = read_mapping(topic.mapping)
    partitions = partitions_of_topics(topic.client).get(topic.name)
    if partitions is None:
        raise StateError("there is no such topic", where=f"topic {topic.name}", do="Create it, or check --topic")
    hand = handed_over(
        job.warehouse, folder / "lists", source=mapping.name, topic=topic.name, partitions=partitions,
        most_per_file=settings.stream.max_events_per_slice,
    )  # fmt: skip
    behind = next_offsets(job.warehouse.read(EVENTS), source=mapping.name, topic=topic.name, partitions=partitions)
    session = stream_session(job.spark, settings.stream)

    def records(offsets: str, most: int) -> DataFrame:
        raw = kafka_records(
            session, mapping, topic=topic.name, offsets=offsets, most_per_trigger=most, options=topic.options
        )
        return arrivals(raw, mapping, settings.cleaning)

    rules = IntakeRules(mapping.name, timedelta(hours=params.repeat_hours), params.most_collected_events, job.now)
    intake = EventIntake(job.home.warehouse, "events", rules)
    compaction = Compaction(job.warehouse, job.home.locks, settings.compaction, job.now)
    upkeep = Upkeep(job.warehouse, (EVENTS, QUARANTINE), settings.compaction, job.now)
    making = ListMaking(
        recommended, model, settings.lists.length, settings.stream.most_collected_lists, job.now, is_live=True
    )
    updates = ListUpdates(job.home.warehouse, f"lists-{fingerprint({'handover': hand.starting_offsets})}", making)
    live = live_events(records(hand.starting_offsets, params.most_list_events))
    touched = touched_histories(
        live.unionByName(history_stream(session, folder / "lists")), max_events=settings.interactions.max_events
    )
    running: list[RunningQuery] = []
    try:
        running.append(
            started("events", records(starting_offsets(topic.name, behind), params.most_intake_events),
                    WithChores(intake, (upkeep.between_batches,)),
                    checkpoint=folder / "events", every_seconds=params.intake_seconds, mode="append")
        )  # fmt: skip
        running.append(
            started(
                "lists",
                touched,
                WithChores(updates, (compaction.between_batches,)),
                checkpoint=folder / "lists" / "query",
                every_seconds=0,
                mode="update",
            )
        )
    except FreshetError:
        for one in running:
            one.stop(within_seconds=0)
        raise
    return running
