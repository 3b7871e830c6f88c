"""The content of the report from one home: records of steps and rows of tables, without Spark."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from freshet.contracts import EVENTS
from freshet.core.records import read_record
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.recipe import Recipe as LearnedRecipe
from freshet.report.collect import figures
from freshet.report.collect.audits import audits
from freshet.report.collect.experiments import experiments
from freshet.report.collect.shoppers import shoppers
from freshet.report.collect.sources import Sources, naive
from freshet.report.content import Intake, Missing, Model, Page, Recipe, RunWindows, StepFacts, Table
from freshet.runs.registered_models import PROPENSITY, RECOMMENDER, SEGMENTS, TRAINED_BY
from freshet.runs.registry import tables as known_tables
from freshet.runs.step import Step
from freshet.runs.steps import BUILD, INGEST, PROMOTE, RECOMMEND, TRAIN_RECOMMENDER
from freshet.tables.lookups.snapshot import column_ends, table_facts


def collected(sources: Sources, steps: Sequence[Step], generated_at: datetime) -> Page:
    """The page of a home. `steps` keep their order; parts whose step has not run or built nothing are Missing."""
    run_windows = windows(sources)
    return Page(
        source=sources.value(INGEST, "source") or sources.home.root.name,
        generated_at=generated_at,
        k=sources.k,
        notes=tuple(sources.value(INGEST, "notes") or ()),
        intake=intake(sources),
        windows=run_windows,
        quality=figures.tested_quality(sources),
        validation=figures.validation_quality(sources),
        audits=audits(sources),
        recipe=recipe(sources),
        live=figures.live_part(sources, run_windows),
        segments=figures.segments(sources),
        propensity=figures.propensity(sources),
        shoppers=shoppers(sources, run_windows),
        lists=sources.value(RECOMMEND, "lists"),
        experiments=experiments(sources),
        models=models(sources),
        tables=tables(sources),
        steps=_steps(sources, steps),
    )


def intake(sources: Sources) -> Intake | Missing:
    """The counts of the last ingest."""
    record = sources.record(INGEST)
    if isinstance(record, Missing):
        return record
    limits = sorted((record.get("limits") or {}).items())
    return Intake(
        files=record.get("files", 1),
        raw_rows=record["raw_rows"],
        accepted=record["accepted"],
        refused=_by_count(record["refused"]),
        event_names=_by_count(record.get("by_event_name", {})),
        flags=_by_count(record.get("flags", {})),
        limits=tuple((name, limit["low"], limit["high"]) for name, limit in limits if isinstance(limit, dict)),
        items=record.get("items", 0),
    )


def _by_count(counts: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def windows(sources: Sources) -> RunWindows | Missing:
    """The windows that the build step has set."""
    record = sources.record(BUILD)
    if isinstance(record, Missing):
        return record
    found = record["windows"]
    ends = column_ends(sources.home.warehouse, EVENTS, "event_time")
    moments = {name: datetime.fromisoformat(found[name]) for name in ("validation_cut", "cut", "as_of")}
    first = None if ends is None else naive(ends[0])
    return RunWindows(first, **moments, shortened=found["shortened"], target=record["target"])


def recipe(sources: Sources) -> Recipe | Missing:
    """The weights of the recommender, and how it was trained."""
    record = sources.record(TRAIN_RECOMMENDER)
    if isinstance(record, Missing):
        return record
    plain = _plain(sources)
    if plain is not None:
        # The trained model was refused, so its figures are not those of the model that serves.
        record = {"recipe": plain["recipe"]}
    served = LearnedRecipe.from_values(record["recipe"])
    weights = tuple(
        (task, tuple(sorted(terms.items(), key=lambda pair: (-abs(pair[1]), pair[0]))))
        for task, terms in sorted(served.weights.items(), key=lambda pair: pair[0] != "next_baskets")
    )
    return Recipe(sources.value(RECOMMEND, "policy"), weights, tuple(_recipe_facts(served, record)))


def _recipe_facts(served: LearnedRecipe, record: dict[str, Any]) -> list[tuple[str, str]]:
    als = served.als
    factors = "none: too little to learn from" if als is None else (
        f"rank {als.rank}, {als.max_iter} iterations, alpha {als.alpha:g}, regularisation {als.reg_param:g}"
    )  # fmt: skip
    events = ", ".join(f"{name} {weight:g}" for name, weight in sorted(served.event_weights.items()))
    facts = [("target event", served.target), ("weights of events", events), ("factors (ALS)", factors)]
    if als is not None:
        facts.append(("decay behind item factors", _decay(served.item_half_life_days)))
        facts.append(("decay of what is folded in", _decay(served.user_half_life_days)))
    for name, configuration in served.item_models.items():
        model = ITEM_MODELS[name]
        described = model.describe(configuration).items()
        facts.append((model.description, ", ".join(f"{each.replace('_', ' ')} {value}" for each, value in described)))
    facts += [(f"ranker: {task}", ranker.description) for task, ranker in sorted(served.rankers.items())]
    facts += [
        (f"NDCG on validation: {task}", f"{value:.4f}") for task, value in sorted((record.get("ndcg") or {}).items())
    ]
    return facts


def _decay(half_life_days: float | None) -> str:
    return "no decay" if half_life_days is None else f"half-life {half_life_days:g} days"


def models(sources: Sources) -> tuple[Model, ...] | Missing:
    """The models trained last, whether they serve and why; and the models that serve instead."""
    decisions, found = sources.value(PROMOTE, "decisions") or {}, []
    for name in (RECOMMENDER, PROPENSITY, SEGMENTS):
        version, serving = (
            sources.value(TRAINED_BY[name], "version"),
            sources.champions.get(name),
        )
        if version is not None:
            decision = decisions.get(name, {})
            reasons = tuple(decision.get("reasons", ()))
            found.append(Model(name, f"{version}.0", version == serving, decision.get("accepted"), reasons))
        if serving is not None and serving != version:
            plain = _plain(sources) if name == RECOMMENDER else None
            accepted, why = (None, ()) if plain is None else (True, tuple(plain["reasons"]))
            found.append(Model(name, f"{serving}.0", True, accepted, why))
    return tuple(found) or Missing("no model was trained")


def _plain(sources: Sources) -> dict[str, Any] | None:
    """The gate's record of the plain methods that it made champion, if they still serve."""
    plain: dict[str, Any] | None = sources.value(PROMOTE, "plain")
    serving = sources.champions.get(RECOMMENDER)
    return plain if plain is not None and plain["version"] == serving else None


def tables(sources: Sources) -> tuple[Table, ...] | Missing:
    """Every Delta table of the home, from its log."""
    facts = [(contract, table_facts(sources.home.warehouse, contract)) for contract in known_tables()]
    found = tuple(
        Table(contract.name, contract.row, table["rows"], table["files"], table["version"])
        for contract, table in facts
        if table is not None
    )
    return found or Missing("there are no tables yet")


def _steps(sources: Sources, steps: Sequence[Step]) -> tuple[StepFacts, ...]:
    """Steps that have run, with their seconds, or why they built nothing."""
    records = [(step.title, read_record(sources.home.steps, step.name)) for step in steps]
    return tuple(
        StepFacts(title, record.get("seconds"), record.get("not_built"))
        for title, record in records
        if record is not None
    )
