"""Adds new items to the model that serves: solved in the background of the stream, published as its next minor version.

Each refresh starts from the registered artifact, so that an item's vector also reflects the latest shoppers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from freshet.contracts import EVENTS, USER_FACTORS
from freshet.contracts.shoppers import counts_as_taste, shopper_id
from freshet.core.threads import scheduler_pool
from freshet.features.interactions import InteractionParameters, histories, interaction_signals, strengths_by_half_life
from freshet.ranking.artifact import Artifact
from freshet.ranking.content.links import ContentLinks, content_links
from freshet.ranking.fold_in import gram_matrix
from freshet.ranking.histories.history_block import read_block
from freshet.ranking.new_items import content_vectors, solved_items, with_new_items
from freshet.ranking.scoring import shopper_factors
from freshet.registry.retention import drop_old_minors
from freshet.registry.versions import ModelVersion
from freshet.runs.job import Job
from freshet.runs.registered_models import RECOMMENDER, champion, registry
from freshet.service.lists.similar_items import SimilarItems
from freshet.tables.format.data_files import NotPlainError
from freshet.tables.lookups.event_items import EventItems
from freshet.tables.lookups.item_states import item_states, listed_items
from freshet.tables.maintenance.background import BackgroundTask


@dataclass(frozen=True)
class NewItemInteractions:
    """Strengths of shoppers' interactions with the new items, [items, shoppers], and the vectors of these shoppers."""

    strengths: csr_matrix
    vectors: NDArray[np.float32]


class RefreshCache:
    """What the refreshes of one run compute only once: the items of its events so far, and X'X of its model."""

    def __init__(self, job: Job) -> None:
        self.seen = EventItems(Path(job.warehouse.path(EVENTS)), job.windows().cut)
        self._grams: dict[int, NDArray[np.float64]] = {}

    def user_gram(self, job: Job, version: ModelVersion) -> NDArray[np.float64] | None:
        """`_user_gram`, which reads a vector for each shopper; the vectors of a version do not change."""
        if version.version not in self._grams:
            found = _user_gram(job, version)
            self._grams = {} if found is None else {version.version: found}
        return self._grams.get(version.version)


def refreshed(job: Job, version: ModelVersion, cache: RefreshCache | None = None) -> ModelVersion | None:
    """Publishes the next minor version, which has the new items, and returns it; None when there are none.

    New items are those of table events since the run's cut, and of the catalogue, that the registered artifact lacks:
    at most `service.most_new_items`, those of the most shoppers first. In a model without factors they have zero
    vectors and are ranked by popularity and newness. With a `cache` of that cut only files that were added since are
    read."""
    cache = cache or RefreshCache(job)
    artifact = Artifact.load(registry(job).first_folder(version))
    item_ids = _new_item_ids(job, artifact, cache.seen)
    if not len(item_ids):
        return None
    links = content_links(item_ids, item_states(job.warehouse, job.now()), artifact.items)
    vectors = _vectors(job, artifact, item_ids, links, cache.user_gram(job, version))
    made = with_new_items(artifact, item_ids, vectors, links)
    if version.minor:
        current = Artifact.load(version.folder)
        if current.items.equals(made.items) and np.allclose(current.factors, made.factors, atol=1e-4):
            return None
    store, minor = registry(job), version.minor + 1
    made.save(store.minor_folder(RECOMMENDER, version.version, minor), like=version.folder)
    published = store.publish_minor(RECOMMENDER, version.version, minor)
    drop_old_minors(store, published)
    return published


def _new_item_ids(job: Job, artifact: Artifact, seen: EventItems) -> pa.Array:
    """Ids that the artifact lacks, in rising order; item-sized. Without Spark unless there are too many."""
    touched, listed = (
        ids.filter(pc.invert(pc.is_in(ids, value_set=artifact.items)))
        for ids in (_touched_ids(job, seen), listed_items(job.warehouse))
    )
    ids = pc.unique(pa.concat_arrays([touched, listed]))
    most = job.settings.service.most_new_items
    if len(ids) > most:
        counts = _shoppers(job, touched, seen.since)
        places = pc.index_in(ids, value_set=counts.column("item_id").combine_chunks())
        shoppers = pc.fill_null(counts.column("shoppers").combine_chunks().take(places), 0)
        table = pa.table({"item_id": ids, "shoppers": shoppers})
        table = table.sort_by([("shoppers", "descending"), ("item_id", "ascending")]).slice(0, most)
        ids = table.column("item_id").combine_chunks()
    return ids.take(pc.sort_indices(ids))


def _touched_ids(job: Job, seen: EventItems) -> pa.Array:
    if not job.warehouse.exists(EVENTS):
        return pa.array([], pa.string())
    try:
        return seen.ids()
    except NotPlainError:
        events = _events_since(job, seen.since)
        return events.select("item_id").distinct().toArrow().column("item_id").combine_chunks().cast(pa.string())


def _shoppers(job: Job, item_ids: pa.Array, since: datetime) -> pa.Table:
    """(item_id, shoppers): by how many shoppers, approximately, each of these items was touched."""
    if not len(item_ids):
        return pa.table({"item_id": pa.array([], pa.string()), "shoppers": pa.array([], pa.int64())})
    events = _events_since(job, since)
    wanted = job.spark.createDataFrame(pa.table({"item_id": item_ids}))
    mine = events.join(F.broadcast(wanted), on="item_id", how="left_semi").groupBy("item_id")
    found = mine.agg(F.approx_count_distinct(shopper_id()).alias("shoppers")).toArrow()
    return found.cast(pa.schema([("item_id", pa.string()), ("shoppers", pa.int64())]))


def _events_since(job: Job, since: datetime) -> DataFrame:
    return job.warehouse.read(EVENTS).where(counts_as_taste() & (F.col("event_time") >= F.lit(since)))


def _vectors(
    job: Job, artifact: Artifact, item_ids: pa.Array, links: ContentLinks, gram: NDArray[np.float64] | None
) -> NDArray[np.float32]:
    """Vectors of the items: solved if shoppers have touched the item, else from its content, else zeros."""
    vectors = content_vectors(links, artifact)
    touched = _touched(job, artifact, item_ids) if gram is not None else None
    if gram is not None and touched is not None:
        solved = solved_items(touched.strengths, touched.vectors, gram, artifact)
        is_solved = np.asarray(solved.any(axis=1))
        vectors[is_solved] = solved[is_solved]
    return vectors


def _user_gram(job: Job, version: ModelVersion) -> NDArray[np.float64] | None:
    """X'X over the model's user vectors; None if there are none."""
    if not job.warehouse.exists(USER_FACTORS):
        return None
    mine = job.warehouse.read(USER_FACTORS).where(F.col("model_version") == f"{version.version}.0")

    def products(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                flat = batch.column(0).flatten().to_numpy(zero_copy_only=False)
                gram = gram_matrix(flat.reshape(batch.num_rows, -1).astype(np.float32))
                yield pa.RecordBatch.from_arrays([pa.array([gram.ravel().tolist()], pa.list_(pa.float64()))], ["gram"])

    # One row per Arrow batch, so few rows.
    parts = mine.select("factors").mapInArrow(products, "gram array<double>").toArrow().column("gram").to_pylist()
    if not parts:
        return None
    total = np.sum(np.array(parts), axis=0)
    rank = int(np.sqrt(len(total)))
    return np.asarray(total.reshape(rank, rank), dtype=np.float64)


def _touched(job: Job, artifact: Artifact, item_ids: pa.Array) -> NewItemInteractions | None:
    recipe, events = artifact.recipe, job.warehouse.read(EVENTS).where(counts_as_taste())
    if recipe.als is None:
        return None
    new = job.spark.createDataFrame(pa.table({"item_id": item_ids}))
    mine = events.join(F.broadcast(new), on="item_id", how="left_semi")
    clock = mine.agg(F.max("event_time")).first()
    if clock is None or clock[0] is None:
        return None
    moment: datetime = clock[0] + timedelta(microseconds=1)
    params = InteractionParameters(recipe.event_weights, 1.0, job.settings.interactions.max_events)
    days = recipe.item_half_life_days
    # All of them are known by now, so receipt does not matter; ages are relative to the newest event, not the wall
    # time.
    known = mine.withColumn("received_time", F.col("event_time"))
    signals = interaction_signals(known, as_of=moment, params=params)
    strengths = strengths_by_half_life(signals, as_of=moment, half_lives_days=[days])
    strong = (F.col("strength_0") > 0) & (F.col("strength_0") >= recipe.item_min_strength)
    rows = strengths.where(strong).orderBy(F.desc("strength_0"), "user_id", "item_id")
    table = rows.limit(job.settings.service.most_new_item_shoppers).select("user_id", "item_id", "strength_0").toArrow()
    if not table.num_rows:
        return None
    users = pc.unique(table.column("user_id").combine_chunks())
    people, vectors = _user_vectors(job, artifact, events, users, moment)
    columns = pc.index_in(table.column("user_id"), value_set=people).combine_chunks()
    places = pc.index_in(table.column("item_id"), value_set=item_ids).combine_chunks()
    found = (table.column("strength_0").to_numpy(), (places.to_numpy(), columns.to_numpy()))
    return NewItemInteractions(csr_matrix(found, shape=(len(item_ids), len(people))), vectors)


def _user_vectors(
    job: Job, artifact: Artifact, events: DataFrame, users: pa.Array, clock: datetime
) -> tuple[pa.Array, NDArray[np.float32]]:
    """Folded-in vectors of these shoppers, from their whole histories, and their ids in the same order."""
    wanted = job.spark.createDataFrame(pa.table({"_user": users}))
    mine = events.join(F.broadcast(wanted), on=shopper_id() == F.col("_user"), how="left_semi")
    params = job.settings.interactions
    kept = histories(mine, max_events=params.max_events, event_names=params.event_names)
    table = kept.toArrow().combine_chunks()
    people = table.column("user_id").combine_chunks().cast(pa.string())
    block = read_block(
        table.column("history").combine_chunks(), items=artifact.items, event_names=artifact.recipe.event_names,
        clock=clock,
    )  # fmt: skip
    return people, shopper_factors(block, artifact)


class ItemRefresh:
    """The refreshes of a stream: one at a time, in a thread of its own, started between two micro-batches.

    Each also writes the similar items again, without items that are unavailable by then.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._next = job.now() + self._interval
        self._work = BackgroundTask[None]()
        self._cache: RefreshCache | None = None
        self._similar = SimilarItems(job)

    @property
    def _interval(self) -> timedelta:
        return timedelta(minutes=self.job.settings.service.item_refresh_minutes)

    def between_batches(self) -> None:
        """Starts a refresh when one is due. Raises the error that ended the last one."""
        if self._work.is_running:
            return
        self._work.result()
        if self._interval and self.job.now() >= self._next:
            self._next = self.job.now() + self._interval
            self._work.start(self._refresh, "item-refresh")

    def _refresh(self) -> None:
        version = champion(self.job, RECOMMENDER)
        if version is not None:
            if self._cache is None or self._cache.seen.since != self.job.windows().cut:
                self._cache = RefreshCache(self.job)
            with scheduler_pool(self.job.spark, "item refresh"):
                made = refreshed(self.job, version, self._cache)
            self._similar.refresh(made or version)
