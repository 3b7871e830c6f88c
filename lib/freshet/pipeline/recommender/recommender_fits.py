"""Shared by training and judging of the recommender: cases, strengths, catalogues and fitted artifacts."""

import math
import operator
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.contracts import EVENTS, ITEM_FEATURES
from freshet.contracts.operations import PROTOCOLS
from freshet.contracts.shoppers import shopper_id
from freshet.core.errors import DataTooSmallError
from freshet.core.session import task_cores
from freshet.core.threads import side_by_side
from freshet.evaluation.parameters import EvaluationParameters
from freshet.evaluation.protocols import LEAVE_LAST_BASKET, TIME_SPLIT, last_basket_cases, time_split_cases
from freshet.evaluation.splitting import Windows, known_before
from freshet.features.currency import in_one_currency
from freshet.features.interactions import (
    InteractionParameters,
    histories,
    interaction_signals,
    item_sequences,
    strengths_by_half_life,
)
from freshet.features.items import item_features
from freshet.models.factors.als import Factoriser, FittedAls
from freshet.models.items.item_model import TrainingData
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.artifact import Artifact
from freshet.ranking.assembly import assembled
from freshet.ranking.extensions import loaded_extensions
from freshet.ranking.recipe import Recipe
from freshet.runs.job import Job
from freshet.runs.settings import Settings
from freshet.tables.format.kept_rows import KeptRows
from freshet.tuning.item_models import item_model_or_none

_BUCKETS = 1_000_000


def events_until(job: Job, windows: Windows) -> DataFrame:
    """The home's events before the run's as_of, with prices in the home's currency."""
    events = job.warehouse.read(EVENTS).where(F.col("event_time") < F.lit(windows.as_of))
    return in_one_currency(events, job.settings.money)


def histories_before(job: Job, windows: Windows, moment: datetime) -> KeptRows:
    """(user_id, history) from events known before `moment`; kept for later steps."""
    known = known_before(events_until(job, windows), moment)
    most, names = job.settings.interactions.max_events, job.settings.interactions.event_names
    name = f"histories before {moment} of events {job.warehouse.version(EVENTS)}, newest {most} of {', '.join(names)}"
    return job.kept(name, lambda: histories(known, max_events=most, event_names=names))


class Cases(NamedTuple):
    """The cases of a window, (user_id, history, truth), persisted, and the protocol that made them."""

    protocol: str
    frame: DataFrame


def judged_cases(job: Job, windows: Windows, *, start: datetime, end: datetime, target: str, at_most: int) -> Cases:
    """The cases of the window [start, end) by the protocol that suits it; the clock of their histories is `start`.

    About `at_most` of them at most, chosen by a hash of the id, so that a larger sample contains a smaller one.
    """
    events, params = events_until(job, windows), job.settings.protocols

    def cases(protocol: str) -> DataFrame:
        if protocol == TIME_SPLIT:
            earlier = histories_before(job, windows, start).frame
            return time_split_cases(earlier, events, target=target, start=start, end=end)
        known = histories_before(job, windows, end).frame
        gap = params.visit_minutes if protocol == LEAVE_LAST_BASKET else None
        return last_basket_cases(known, target=target, start=start, visit_minutes=gap)

    whole = f"with {target} from {start} to {end} of events {job.warehouse.version(EVENTS)} until {windows.as_of}"
    whole = f"shoppers {whole}, newest {job.settings.interactions.max_events}"

    def every(protocol: str) -> DataFrame:
        return job.shared(f"{protocol} {whole}", partial(cases, protocol))

    chosen = params.chosen((protocol, every(protocol).count()) for protocol in PROTOCOLS)
    return Cases(chosen, job.shared(f"{at_most} {chosen} {whole}", lambda: sample_of_shoppers(every(chosen), at_most)))


def sample_of_shoppers(rows: DataFrame, at_most: int) -> DataFrame:
    """About `at_most` of the rows (user_id, ...), which are one per shopper, chosen by a hash of the id."""
    share = min(1.0, at_most / max(1, rows.count()))
    return rows.where(F.pmod(F.xxhash64("user_id"), F.lit(_BUCKETS)) < share * _BUCKETS)


def had_items(target: str) -> Column:
    """The items of the `target` events in column history, newest first, with repetitions."""
    entries = F.filter("history", lambda entry: entry["event_name"] == target)
    return F.transform(entries, lambda entry: entry["item_id"])


def repeat_share(cases: DataFrame, *, target: str) -> float | None:
    """The share (0 to 1) of true items that are repeats for the shopper, averaged over shoppers; None without any."""
    share = F.size(F.array_intersect("truth", had_items(target))) / F.size("truth")
    row = cases.agg(F.avg(share)).first()
    assert row is not None  # an aggregate without grouping has exactly one row
    return None if row[0] is None else float(row[0])


class SignalsAt:
    """Interaction signals before one date, computed once: strengths by several half-lives, and sequences."""

    def __init__(
        self, events: DataFrame, as_of: datetime, params: InteractionParameters, half_lives_days: set[float | None]
    ) -> None:
        signals = interaction_signals(events, as_of=as_of, params=params)
        self._signals = signals.select("user_id", "item_id", "first_time", "last_time", "weight").persist()
        self._places = {days: n for n, days in enumerate(sorted(half_lives_days, key=lambda days: days or math.inf))}
        strengths = strengths_by_half_life(self._signals, as_of=as_of, half_lives_days=list(self._places))
        self._strengths = strengths.persist()

    def strengths(self, half_life_days: float | None, at_least: float) -> DataFrame:
        """(user_id, item_id, first_time, strength) by one of the half-lives, above 0 and at least `at_least`."""
        strength = F.col(f"strength_{self._places[half_life_days]}")
        chosen = self._strengths.where((strength > 0) & (strength >= at_least))
        return chosen.select("user_id", "item_id", "first_time", strength.alias("strength"))

    def sequences(self) -> DataFrame:
        """(user_id, item_id, position) of `item_sequences`."""
        return item_sequences(self._signals)

    def compute(self) -> None:
        """Computes the strengths now instead of at the first use."""
        self._strengths.count()

    def forget(self) -> None:
        """Frees the persisted data."""
        self._strengths.unpersist()
        self._signals.unpersist()


def bare_recipe(target: str, job: Job) -> Recipe:
    """A recipe from the settings without a factor model and without weights, but with the models of similar items."""
    options = job.settings.item_models.options()
    return Recipe(
        target=target,
        event_weights=job.settings.interactions.weights,
        als=None,
        item_half_life_days=None,
        item_min_strength=0.0,
        user_half_life_days=None,
        user_min_strength=0.0,
        item_models={name: of_model[0] for name, of_model in options.items() if ITEM_MODELS[name].is_similar_items},
        sparse_terms={},
        weights={},
        extensions=loaded_extensions(),
    )


def recipe_params(recipe: Recipe) -> dict[str, Any]:
    """A recipe as the parameters of a run; the values of each task and each item model have their own name."""
    values = recipe.to_values()
    weights, models, rankers = values.pop("weights"), values.pop("item_models"), recipe.rankers
    del values["rankers"]
    return {
        **values,
        **{f"weights.{policy}": chosen for policy, chosen in weights.items()},
        **{f"item_models.{name}": configuration for name, configuration in models.items()},
        **{f"rankers.{policy}": ranker.description for policy, ranker in rankers.items()},
    }


def catalogue(events: DataFrame, *, as_of: datetime, target: str) -> pa.Table:
    """The features of all items known before `as_of`, collected to the driver, as there is one row per item."""
    return item_features(events, as_of=as_of, target=target).toArrow()


def built_catalogue(job: Job, windows: Windows) -> pa.Table:
    """`catalogue` as of the run's cut, read from the table that the build step has written."""
    return job.warehouse.read(ITEM_FEATURES).where(F.col("as_of") == F.lit(windows.cut)).toArrow()


def factoriser(job: Job) -> Factoriser:
    """The engine named in the settings, with the cores that Spark gives a task."""
    return Factoriser(job.settings.factorisation, task_cores(job.spark), job.notify)


class Fitted(NamedTuple):
    """An artifact, and the factor model behind it (None without one)."""

    artifact: Artifact
    als: FittedAls | None


def fitted(
    recipe: Recipe, data: TrainingData, *, settings: Settings, by: Factoriser, with_users: bool = False
) -> Fitted:
    """The recipe fitted on the data of a date; its models are fitted in parallel.

    An item model that cannot be fitted any more (memory, singular matrix) is left out, with a message.
    """

    def factors() -> FittedAls | None:
        if recipe.als is None:
            return None
        chosen = data.strengths(recipe.item_half_life_days, recipe.item_min_strength)
        return by.fit(chosen, recipe.als, with_users=with_users)

    def weights(model: str) -> pa.Table | None:
        return item_model_or_none(model, recipe.item_models[model], data, params=settings.item_models, by=by)

    models = list(recipe.item_models)
    work: list[Callable[[], Any]] = [factors, *(partial(weights, model) for model in models)]
    at_once = settings.search.trials_at_once
    als, *made = side_by_side(operator.call, work, spark=data.sequences.sparkSession, at_once=at_once)
    tables = {model: table for model, table in zip(models, made, strict=True) if table is not None}
    artifact = assembled(
        recipe, features=data.features, factors=als and als.items, item_weights=tables, as_of=data.as_of
    )  # fmt: skip
    return Fitted(artifact, als)


def target_event(events: DataFrame, cut: datetime, params: EvaluationParameters) -> str:
    """The first event name, in the settings' order, that at least `min_target_users` shoppers had before `cut`.

    If none is frequent enough, the most frequent of them. Raises DataTooSmallError if there is none at all.
    """
    counted = (
        known_before(events, cut)
        .where(F.col("event_name").isin(*params.target_order))
        .groupBy("event_name")
        .agg(F.approx_count_distinct(shopper_id()).alias("shoppers"))
        .collect()
    )
    shoppers = {row["event_name"]: row["shoppers"] for row in counted}
    if not shoppers:
        raise DataTooSmallError(f"no event before {cut:%Y-%m-%d %H:%M} is one of {', '.join(params.target_order)}")
    frequent = [name for name in params.target_order if shoppers.get(name, 0) >= params.min_target_users]
    return frequent[0] if frequent else max(shoppers, key=lambda name: shoppers[name])
