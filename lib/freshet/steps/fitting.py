"""What training and judging of the recommender share: cases, strengths, catalogues and fitted artifacts."""

import math
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.contracts import EVENTS, ITEM_FEATURES
from freshet.features.interactions import InteractionParameters, histories, strengths_by_half_life
from freshet.features.items import item_features
from freshet.models.als import Factoriser, FittedAls
from freshet.recommendation.artifact import Artifact
from freshet.recommendation.assembly import assembled
from freshet.recommendation.recipe import Recipe
from freshet.session import task_cores
from freshet.settings import Settings
from freshet.splitting import Windows, between, known_before, truth
from freshet.steps.job import Job
from freshet.tuning.item_models import Past, item_model_or_told, models_of

_BUCKETS = 1_000_000


def events_until(job: Job, windows: Windows) -> DataFrame:
    """The home's events before the run's as_of."""
    return job.warehouse.read(EVENTS).where(F.col("event_time") < F.lit(windows.as_of))


def histories_before(job: Job, windows: Windows, moment: datetime) -> DataFrame:
    """(user_id, history) from what was known before `moment`; kept for the steps to come."""
    known = known_before(events_until(job, windows), moment)
    most = job.settings.interactions.max_events
    name = f"histories before {moment} of events {job.warehouse.version(EVENTS)}, newest {most}"
    return job.shared(name, lambda: histories(known, max_events=most))


def judged_cases(job: Job, windows: Windows, *, start: datetime, end: datetime, target: str, at_most: int) -> DataFrame:
    """(user_id, history, truth) of shoppers with a target event before `start` and one in [start, end); kept.

    At most about `at_most` of them, chosen by a hash of the id, so that a larger sample contains a smaller one.
    """
    events, past = events_until(job, windows), histories_before(job, windows, start)

    def made() -> DataFrame:
        had = past.where(F.exists("history", lambda entry: entry["event_name"] == target))
        later = truth(between(events, start, end), target=target).withColumnRenamed("items", "truth")
        return had.join(later, "user_id", how="inner")

    whole = f"with {target} from {start} to {end} of events {job.warehouse.version(EVENTS)} until {windows.as_of}"
    whole = f"shoppers {whole}, newest {job.settings.interactions.max_events}"
    return job.shared(f"{at_most} {whole}", lambda: sample_of_shoppers(job.shared(whole, made), at_most))


def sample_of_shoppers(rows: DataFrame, at_most: int) -> DataFrame:
    """About `at_most` of the rows (user_id, ...), a row per shopper, chosen by a hash of the id."""
    share = min(1.0, at_most / max(1, rows.count()))
    return rows.where(F.pmod(F.xxhash64("user_id"), F.lit(_BUCKETS)) < share * _BUCKETS)


def had_items(target: str) -> Column:
    """The items of the `target` events in column history, newest first, an item as often as it was had."""
    taken = F.filter("history", lambda entry: entry["event_name"] == target)
    return F.transform(taken, lambda entry: entry["item_id"])


def repeat_share(cases: DataFrame, *, target: str) -> float | None:
    """The share (0 to 1) of true items that the shopper had had before, as the mean over shoppers; None without any."""
    share = F.size(F.array_intersect("truth", had_items(target))) / F.size("truth")
    row = cases.agg(F.avg(share)).first()
    assert row is not None  # an aggregate without grouping has exactly one row
    return None if row[0] is None else float(row[0])


class StrengthsAt:
    """Strengths (user_id, item_id, first_time, strength) as of one date by several half-lives, computed once."""

    def __init__(
        self, events: DataFrame, as_of: datetime, params: InteractionParameters, half_lives_days: set[float | None]
    ) -> None:
        self._places = {days: n for n, days in enumerate(sorted(half_lives_days, key=lambda days: days or math.inf))}
        made = strengths_by_half_life(events, as_of=as_of, half_lives_days=list(self._places), params=params)
        self._kept = made.persist()

    def __call__(self, half_life_days: float | None, at_least: float) -> DataFrame:
        strength = F.col(f"strength_{self._places[half_life_days]}")
        chosen = self._kept.where((strength > 0) & (strength >= at_least))
        return chosen.select("user_id", "item_id", "first_time", strength.alias("strength"))

    def forget(self) -> None:
        """Frees what was kept."""
        self._kept.unpersist()


def half_lives_of(recipe: Recipe) -> set[float | None]:
    """The half-lives of the strengths that a recipe is fitted on."""
    return {recipe.item_half_life_days, recipe.neighbour_half_life_days, recipe.linear_half_life_days}


def catalogue(events: DataFrame, *, as_of: datetime, target: str) -> pa.Table:
    """The item features of all items known before `as_of`: item-sized, so it may come to the driver."""
    return item_features(events, as_of=as_of, target=target).toArrow()


def built_catalogue(job: Job, windows: Windows) -> pa.Table:
    """`catalogue` as of the run's cut, as the build step has written it."""
    return job.warehouse.read(ITEM_FEATURES).where(F.col("as_of") == F.lit(windows.cut)).toArrow()


def factoriser(job: Job) -> Factoriser:
    """The engine that the settings name, with the cores that Spark gives a task."""
    return Factoriser(job.settings.factorisation, task_cores(job.spark), job.tell)


class Fitted(NamedTuple):
    """An artifact, and the factor model behind it (None without one)."""

    artifact: Artifact
    als: FittedAls | None


def fitted(recipe: Recipe, past: Past, *, settings: Settings, by: Factoriser, with_users: bool = False) -> Fitted:
    """The recipe fitted on the past as of a date. An item model that no longer fits is left out, and that is told."""
    als, factors = None, None
    if recipe.als is not None:
        chosen = past.strengths(recipe.item_half_life_days, recipe.item_min_strength)
        als = by.fit(chosen, recipe.als, with_users=with_users)
        factors = als.items
    made = {
        model: item_model_or_told(model, recipe, past, params=settings.item_models, by=by)
        for model in models_of(recipe)
    }
    tables = {model: table for model, table in made.items() if table is not None}
    artifact = assembled(recipe, features=past.features, factors=factors, item_weights=tables, as_of=past.as_of)
    return Fitted(artifact, als)
