"""Step train-recommender: searches the recipe on validation, fits it as of the cut, registers the challenger."""

import json
import operator
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts import EVENTS, ITEM_FACTORS, ITEM_FEATURES, USER_FACTORS
from freshet.core.errors import DataTooSmallError
from freshet.core.threads import side_by_side
from freshet.evaluation.splitting import Windows, known_before
from freshet.models.items.item_model import TrainingData
from freshet.pipeline.recommender.recommender_fits import (
    Fitted,
    SignalsAt,
    bare_recipe,
    built_catalogue,
    catalogue,
    events_until,
    factoriser,
    fitted,
    judged_cases,
    recipe_params,
    repeat_share,
)
from freshet.ranking.artifact import Artifact
from freshet.ranking.extensions import extension_digests
from freshet.ranking.plain_methods import own_items_first
from freshet.ranking.recipe import Recipe
from freshet.registry.versions import ModelVersion
from freshet.report.charts.training import blend_svg, trials_svg
from freshet.runs.job import Job
from freshet.runs.registered_models import RECOMMENDER, SCORING, champion, registry, validation_folder
from freshet.runs.steps import BUILD
from freshet.tuning.search import Judging, SearchResult, SearchSettings, searched, searched_half_lives


def inputs(job: Job) -> dict[str, Any]:
    """The windows and the target event that the build step has set, and the source code of the extensions."""
    build = job.record(BUILD)
    return {"windows": build["windows"], "target": build["target"], "extensions": extension_digests()}


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Searches, fits and registers a challenger; records its version, recipe and metrics."""
    windows, target = job.windows(), job.record(BUILD)["target"]
    events = events_until(job, windows)
    if events.where(F.col("item_id").isNotNull()).isEmpty():
        raise DataTooSmallError("the source has no items, so there is nothing to recommend")
    before = champion(job, RECOMMENDER)
    result, repeated = _searched(job, windows, target, fingerprint)
    recipe = result.artifact.recipe
    known = known_before(events, windows.cut)
    signals = SignalsAt(known, windows.cut, job.settings.interactions, recipe.half_lives())
    job.notify("fitting the chosen recipe on everything before the cut")
    data = TrainingData(signals.strengths, signals.sequences(), built_catalogue(job, windows), windows.cut)
    try:
        final = fitted(recipe, data, settings=job.settings, by=factoriser(job), with_users=True)
        version = _registered(job, fingerprint, result, final)
        _write_factors(job, final, version.model_version)
    finally:
        signals.forget()
    # Last, so that a run that is killed earlier still has its trials.
    _search_record(job, fingerprint).unlink(missing_ok=True)
    return {
        "version": version.version,
        "champion": before and before.model_version,
        "ndcg": result.ndcg,
        "users": result.users,
        "repeat_share": repeated,
        "recipe": recipe.to_values(),
    }


def _searched(job: Job, windows: Windows, target: str, fingerprint: str) -> tuple[SearchResult, float | None]:
    """The result of the search and the share of repeats. The artifact as of the validation cut is saved for the gate.

    So is an artifact of the champion's recipe, if there is one: both are judged on the same days, from what was known
    before them.
    """
    settings, cut = job.settings, windows.validation_cut
    known = known_before(events_until(job, windows), cut)
    before = _champion_recipe(job)
    half_lives = searched_half_lives(settings.search, settings.item_models)
    half_lives |= before.half_lives() if before else set()
    signals = SignalsAt(known, cut, settings.interactions, half_lives)
    try:
        # In parallel, as each of these reads all events.
        inputs: list[Callable[[], Any]] = [
            lambda: judged_cases(
                job, windows, start=cut, end=windows.cut, target=target, at_most=settings.search.max_validation_users
            ),
            lambda: catalogue(known, as_of=cut, target=target),
            signals.compute,
        ]
        (protocol, cases), features, _ = side_by_side(operator.call, inputs, spark=job.spark, at_once=len(inputs))
        data = TrainingData(signals.strengths, signals.sequences(), features, cut)
        judged = cases.count()
        result = None
        job.notify(f"{judged:,} shoppers are judged by protocol {protocol}")
        if judged < settings.search.min_validation_users:
            job.notify("too few shoppers can be judged for a search of settings")
        else:
            result = _search(job, cases, data, target, _search_record(job, fingerprint))
        if result is None:
            job.notify("lists have own items first, then popular ones")
            plain = fitted(_unsearched(target, job), data, settings=settings, by=factoriser(job))
            result = SearchResult(plain.artifact, {}, [], {"next_baskets": judged})
        repeated = repeat_share(cases, target=target)
        result.artifact.save(validation_folder(job.home, fingerprint, "challenger"))
        if before is not None:
            rival = fitted(before, data, settings=settings, by=factoriser(job))
            rival.artifact.save(validation_folder(job.home, fingerprint, "champion"))
    finally:
        signals.forget()
    return result, repeated


def _search(job: Job, cases: DataFrame, data: TrainingData, target: str, record: Path) -> SearchResult | None:
    """The result of a search; None, with a message to the user, if there is too little data to learn from."""
    settings = job.settings
    try:
        return searched(
            Judging(cases, settings.gate.k), data, target=target, event_weights=settings.interactions.weights,
            settings=SearchSettings(settings.search, settings.item_models, settings.ranker),
            factoriser=factoriser(job), record=record,
        )  # fmt: skip
    except DataTooSmallError as reason:
        job.notify(f"no search: {reason}")
        return None


def _search_record(job: Job, fingerprint: str) -> Path:
    return validation_folder(job.home, fingerprint, "search.json")


def _champion_recipe(job: Job) -> Recipe | None:
    version = champion(job, RECOMMENDER)
    return Artifact.load(version.folder).recipe if version is not None else None


def _unsearched(target: str, job: Job) -> Recipe:
    """The recipe without a search: own items first, then their neighbours or popular items."""
    return own_items_first(bare_recipe(target, job), half_life_days=job.settings.search.own_half_lives_days[0])


def _registered(job: Job, fingerprint: str, result: SearchResult, final: Fitted) -> ModelVersion:
    """The registered version of this fingerprint, which a killed run may already have made."""
    store = registry(job)
    known = store.find(RECOMMENDER, fingerprint)
    if known is not None:
        return known
    with store.training_run(RECOMMENDER, params=_params(result, final), fingerprint=fingerprint) as run:
        run.log_inputs({table.name: job.warehouse.version(table) for table in (EVENTS, ITEM_FEATURES)})
        run.log_metrics({f"validation_ndcg_{policy}": value for policy, value in result.ndcg.items()})
        run.log_text(json.dumps(result.trials, indent=1), "trials.json")
        run.log_text(trials_svg(result.trials), "trials.svg")
        run.log_text(blend_svg(result.artifact.recipe.weights), "blend.svg")
        run.log_trials([trial for trial in result.trials if "weights" not in trial])
        with tempfile.TemporaryDirectory(dir=job.home.mlflow) as scratch:
            final.artifact.save(Path(scratch) / SCORING)
            run.log_folder(Path(scratch) / SCORING, SCORING)
        return store.register(RECOMMENDER, run, SCORING)


def _params(result: SearchResult, final: Fitted) -> dict[str, Any]:
    engine = {"engine": final.als.engine} if final.als is not None else {}
    return {**recipe_params(result.artifact.recipe), **engine}


def _write_factors(job: Job, final: Fitted, version: str) -> None:
    if final.als is None:
        return
    assert final.als.users is not None  # requested with `with_users` when the recipe was fitted
    where = f"model_version = '{version}'"
    items = job.spark.createDataFrame(final.als.items)
    for frame, contract in ((items, ITEM_FACTORS), (final.als.users, USER_FACTORS)):
        job.warehouse.replace(frame.withColumn("model_version", F.lit(version)), contract, where=where)
    final.als.forget()
