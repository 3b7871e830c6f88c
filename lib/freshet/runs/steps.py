"""All steps, each declared once: commands, job scripts, schedules, titles and the order of a run follow from here.

The modules with their functions are imported when a step runs.
"""

from dataclasses import replace

from freshet.contracts import (
    AUDIT_RESULTS,
    EVALUATION_RESULTS,
    EVENTS,
    EXPERIMENT_RESULTS,
    INTERACTIONS,
    ITEM_FACTORS,
    ITEM_FEATURES,
    ITEMS_HISTORY,
    LIST_OUTCOMES,
    MERCHANDISING_RULES,
    MODEL_DECISIONS,
    POPULAR_ITEMS,
    QUALITY_METRICS,
    QUARANTINE,
    RECOMMENDATION_UPDATES,
    RECOMMENDATIONS,
    RULE_EFFECTS,
    SEGMENT_PROFILES,
    SIMILAR_ITEMS,
    STREAM_METRICS,
    USER_ATTRIBUTES,
    USER_FACTORS,
    USER_FEATURES,
    USER_SCORES,
    USER_SEGMENTS,
)
from freshet.runs.step import (
    AFTER,
    AS_OF,
    BY_HAND,
    INPUT,
    LIVE_DAYS,
    SOURCE,
    TOPIC,
    Group,
    Resources,
    Schedule,
    Step,
    lazy,
)

TINY = Resources("1g", 1, 1, "2g")
SMALL = Resources("2g", 2, 2, "4g")
MEDIUM = Resources("2g", 4, 2, "4g")
LARGE = Resources("4g", 4, 2, "8g")
"""Large, because item vectors and neighbours are collected to the driver."""

FROM_FILES = ("--home", "HOME", "--source", "SOURCE", "--input", "INPUT")

INGEST = Step(
    name="ingest",
    title="Ingest raw records",
    help="Read raw records into tables events, quarantine and items_history.",
    options=(SOURCE, INPUT),
    after=(),
    reads=(),
    writes=(EVENTS, QUARANTINE, ITEMS_HISTORY, QUALITY_METRICS),
    sections=("cleaning",),
    check=lazy("freshet.pipeline.ingestion.ingest:mapped_files"),
    inputs=lazy("freshet.pipeline.ingestion.ingest_step:inputs"),
    work=lazy("freshet.pipeline.ingestion.ingest_step:work"),
    starts_home=True,
    # Nightly, after the shop's export.
    schedule=Schedule("10 2 * * *", MEDIUM, FROM_FILES),
)

BUILD = Step(
    name="build",
    title="Build interactions and features",
    help="Build interactions and features as of the cut.",
    options=(AS_OF, LIVE_DAYS),
    after=(INGEST.name,),
    reads=(EVENTS,),
    writes=(INTERACTIONS, USER_FEATURES, ITEM_FEATURES),
    sections=("windows", "interactions", "evaluation", "money"),
    inputs=lazy("freshet.pipeline.build:inputs"),
    work=lazy("freshet.pipeline.build:work"),
    # Lists are as of now: no days are held out for evaluate and replay.
    schedule=Schedule(AFTER, MEDIUM, ("--home", "HOME", "--live-days", "0")),
)

_TRAINING = Group(
    name="train",
    help="Train recommender, purchase probability and segments under MLflow.",
    schedule=Schedule(AFTER, LARGE),
)

TRAIN_RECOMMENDER = Step(
    name="train-recommender",
    title="Train the recommender",
    group=_TRAINING,
    after=(BUILD.name,),
    reads=(EVENTS, ITEM_FEATURES),
    writes=(ITEM_FACTORS, USER_FACTORS),
    sections=(
        "windows",
        "interactions",
        "protocols",
        "search",
        "item_models",
        "ranker",
        "factorisation",
        "gate",
        "extensions",
        "money",
    ),
    inputs=lazy("freshet.pipeline.recommender.train_recommender:inputs"),
    work=lazy("freshet.pipeline.recommender.train_recommender:work"),
)

TRAIN_PROPENSITY = Step(
    name="train-propensity",
    title="Train the purchase probability",
    group=_TRAINING,
    after=(BUILD.name,),
    reads=(EVENTS,),
    writes=(EVALUATION_RESULTS,),
    sections=("windows", "propensity", "money"),
    inputs=lazy("freshet.pipeline.train_propensity:inputs"),
    work=lazy("freshet.pipeline.train_propensity:work"),
)

TRAIN_SEGMENTS = Step(
    name="train-segments",
    title="Train customer segments",
    group=_TRAINING,
    after=(BUILD.name,),
    reads=(USER_FEATURES,),
    writes=(EVALUATION_RESULTS,),
    sections=("windows", "segments"),
    inputs=lazy("freshet.pipeline.train_segments:inputs"),
    work=lazy("freshet.pipeline.train_segments:work"),
)

PROMOTE = Step(
    name="promote",
    title="Judge challengers at the gate",
    help="Judge each challenger at the gate and make it champion or refuse it with reasons.",
    after=(TRAIN_RECOMMENDER.name, TRAIN_PROPENSITY.name, TRAIN_SEGMENTS.name),
    reads=(EVENTS, ITEM_FEATURES),
    # Rows of versions that are gone are removed; of the last two, audits read what was known before the validation
    # days, which `recommend` and newer states of items do not change.
    also_reads=(ITEM_FACTORS, USER_FACTORS, USER_SEGMENTS, ITEMS_HISTORY),
    writes=(EVALUATION_RESULTS, AUDIT_RESULTS, MODEL_DECISIONS),
    # The last two are for plain methods, which serve if the challenger is refused.
    sections=("protocols", "evaluation", "gate", "audits", "interactions", "money", "item_models", "factorisation"),
    # How many old versions of the models are kept; how many models of a fit run in parallel.
    also_sections=("compaction", "search"),
    inputs=lazy("freshet.pipeline.promote:inputs"),
    work=lazy("freshet.pipeline.promote:work"),
    schedule=Schedule(AFTER, SMALL),
)

RECOMMEND = Step(
    name="recommend",
    title="Write lists, scores and segments",
    help="Write lists, similar and popular items, probabilities and segments of the champions.",
    after=(PROMOTE.name,),
    reads=(EVENTS, ITEM_FEATURES, USER_FEATURES, ITEMS_HISTORY, MERCHANDISING_RULES),
    also_reads=(RECOMMENDATION_UPDATES,),  # lists that the stream has made since are newer and are kept
    writes=(
        RECOMMENDATIONS, SIMILAR_ITEMS, POPULAR_ITEMS, USER_SCORES, USER_SEGMENTS, SEGMENT_PROFILES, USER_ATTRIBUTES,
        RULE_EFFECTS,
    ),
    sections=("lists", "placements", "rules", "interactions", "money"),
    inputs=lazy("freshet.pipeline.recommend:inputs"),
    work=lazy("freshet.pipeline.recommend:work"),
    patience_seconds=900.0,  # a stream's compaction holds the table for minutes, every quarter of an hour
    schedule=Schedule(AFTER, MEDIUM),
)  # fmt: skip

REPLAY = Step(
    name="replay",
    title="Replay the live days",
    help="Replay the live days as a stream that keeps lists fresh.",
    after=(RECOMMEND.name,),
    reads=(EVENTS, RECOMMENDATIONS, MERCHANDISING_RULES, USER_ATTRIBUTES, ITEMS_HISTORY),
    writes=(RECOMMENDATION_UPDATES, STREAM_METRICS, EVALUATION_RESULTS),
    sections=("stream", "lists", "placements", "rules", "interactions", "evaluation", "money"),
    inputs=lazy("freshet.pipeline.replay:inputs"),
    work=lazy("freshet.pipeline.replay:work"),
    # After a build with live days, in a home without a service.
    schedule=Schedule(BY_HAND, SMALL),
)

EVALUATE = Step(
    name="evaluate",
    title="Judge lists on the test days",
    help="Judge the served lists and the baselines on the test days.",
    # The latter writes what rules ask of shoppers, and their segments.
    after=(PROMOTE.name, RECOMMEND.name),
    reads=(EVENTS, ITEM_FEATURES, MERCHANDISING_RULES, USER_ATTRIBUTES, USER_SEGMENTS, ITEMS_HISTORY),
    writes=(EVALUATION_RESULTS, AUDIT_RESULTS),
    sections=("protocols", "evaluation", "gate", "audits", "placements", "rules", "interactions", "money"),
    inputs=lazy("freshet.pipeline.evaluate:inputs"),
    work=lazy("freshet.pipeline.evaluate:work"),
    # After a build with live days.
    schedule=Schedule(BY_HAND, SMALL),
)

REPORT = Step(
    name="report",
    title="Write the report",
    help="Write the HTML report.",
    after=(),
    after_all=True,
    reads=(
        EVENTS, ITEMS_HISTORY, USER_FEATURES, RECOMMENDATIONS, RECOMMENDATION_UPDATES, USER_SCORES, USER_SEGMENTS,
        SEGMENT_PROFILES, EVALUATION_RESULTS, STREAM_METRICS, AUDIT_RESULTS, EXPERIMENT_RESULTS, LIST_OUTCOMES,
    ),
    writes=(),
    sections=("gate",),
    inputs=lazy("freshet.pipeline.report:inputs"),
    work=lazy("freshet.pipeline.report:work"),
    schedule=Schedule(AFTER, TINY),
)  # fmt: skip

ITEMS = Step(
    name="items",
    title="Ingest states of items",
    help="Ingest prices, stock and availability from a catalogue file into table items_history.\n\n"
    "Values that the file does not have stay unchanged. `freshet stream` and the next `freshet recommend` leave out "
    "unavailable items.",
    options=(
        replace(SOURCE, help="Mapping (TOML) with a section [items.catalogue]."),
        replace(INPUT, help="Catalogue file.", example="stock.csv"),
    ),
    after=(),
    reads=(),
    writes=(ITEMS_HISTORY,),
    sections=(),
    check=lazy("freshet.pipeline.ingestion.items:named_catalogue"),
    inputs=lazy("freshet.pipeline.ingestion.items:inputs"),
    work=lazy("freshet.pipeline.ingestion.items:work"),
    patience_seconds=30.0,  # a stream with a topic of items holds the table for a second, every few seconds
    starts_home=True,
    summary="{changed} states of items have changed",
    # As often as the shop writes prices and stock.
    schedule=Schedule("*/15 * * * *", TINY, FROM_FILES),
    adds_to_others=True,
)

MEND = Step(
    name="mend",
    title="Ingest refused records again",
    help="Ingest refused records of a topic again, with a corrected mapping that accepts them.\n\n"
    "Stop the stream first, and start it with --rebuild afterwards, so that its histories have these events too. Each "
    "record becomes an event once, and its row in quarantine says which. Records from files or a table of the shop are "
    "ingested again by `freshet ingest`.",
    options=(replace(SOURCE, help="Corrected mapping (TOML) of the stream."), TOPIC),
    after=(),
    reads=(EVENTS, QUARANTINE),
    writes=(EVENTS, QUARANTINE),
    sections=("cleaning",),
    check=lazy("freshet.sources.mapping:read_mapping"),
    inputs=lazy("freshet.pipeline.ingestion.mend:inputs"),
    work=lazy("freshet.pipeline.ingestion.mend:work"),
    summary="{mended} refused records became events, {refused} are still refused",
)

WRITE_RULES = Step(
    name="rules",
    title="Write merchandising rules",
    help="Write the merchandising rules of a file into table merchandising_rules.\n\n"
    "conf/rules.toml explains what rules can do. `freshet stream` applies them within seconds, the lists of all other "
    "shoppers follow with the next `freshet recommend`.",
    options=(replace(INPUT, help="Rules (TOML).", example="my_rules.toml"),),
    after=(BUILD.name,),
    reads=(EVENTS, USER_SEGMENTS, ITEMS_HISTORY),
    writes=(MERCHANDISING_RULES, USER_ATTRIBUTES),
    sections=("rules",),
    check=lazy("freshet.pipeline.merchandising.rules:read_rules"),
    inputs=lazy("freshet.pipeline.merchandising.rules:inputs"),
    work=lazy("freshet.pipeline.merchandising.rules:work"),
    patience_seconds=30.0,
    # When a merchandiser has changed them.
    schedule=Schedule(BY_HAND, TINY, ("--home", "HOME", "--input", "INPUT")),
    summary="{rules} rules are written, {in_force} of them in force{about}",
    adds_to_others=True,  # so that it runs again if somebody else has written to the table of rules
)

EXPERIMENTS = Step(
    name="experiments",
    title="Measure experiments",
    help="Measure the experiments of a file, decide about each arm, and write what lists have earned.\n\n"
    "conf/experiments.toml explains what an experiment can say. The decisions hold at every look: run it as often as "
    "you like.",
    options=(replace(INPUT, help="Experiments (TOML).", example="my_experiments.toml"),),
    after=(INGEST.name,),
    reads=(EVENTS,),
    writes=(EXPERIMENT_RESULTS, LIST_OUTCOMES),
    sections=("experiments", "money"),
    check=lazy("freshet.pipeline.experiments:read_experiments"),
    inputs=lazy("freshet.pipeline.experiments:inputs"),
    work=lazy("freshet.pipeline.experiments:work"),
    # Nightly, after the shop's export, where there are experiments.
    schedule=Schedule(BY_HAND, SMALL, ("--home", "HOME", "--input", "INPUT")),
    summary="{experiments} experiments are measured{about}",
)

MAIN_STEPS: tuple[Step, ...] = (
    INGEST, BUILD, TRAIN_RECOMMENDER, TRAIN_PROPENSITY, TRAIN_SEGMENTS, PROMOTE, RECOMMEND, REPLAY, EVALUATE, REPORT,
)  # fmt: skip
"""The steps of the main job, in the order in which they are listed. A new step is registered by its name here."""

OTHER_STEPS: tuple[Step, ...] = (ITEMS, MEND, WRITE_RULES, EXPERIMENTS)
"""Steps that are not part of the main job."""
