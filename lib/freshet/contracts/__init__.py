"""All tables of Freshet, in the order of the flow. Pure data: no session, no path, no clock."""

# ruff: noqa: F401  (imported to be available from here: `__all__` is made from the contracts)
from freshet.contracts import events, experiments, features, models, operations, rules
from freshet.contracts.events import EVENTS, ITEMS_HISTORY, QUARANTINE
from freshet.contracts.experiments import EXPERIMENT_RESULTS, LIST_OUTCOMES
from freshet.contracts.features import INTERACTIONS, ITEM_FEATURES, USER_FEATURES
from freshet.contracts.models import (
    ITEM_FACTORS,
    POPULAR_ITEMS,
    RECOMMENDATION_UPDATES,
    RECOMMENDATIONS,
    SEGMENT_PROFILES,
    SIMILAR_ITEMS,
    USER_FACTORS,
    USER_SCORES,
    USER_SEGMENTS,
)
from freshet.contracts.operations import (
    AUDIT_RESULTS,
    EVALUATION_RESULTS,
    MODEL_DECISIONS,
    QUALITY_METRICS,
    STREAM_METRICS,
)
from freshet.contracts.rules import MERCHANDISING_RULES, RULE_EFFECTS, USER_ATTRIBUTES
from freshet.contracts.table import Column, TableContract

ALL_TABLES: tuple[TableContract, ...] = tuple(
    found
    for module in (events, features, models, operations, rules, experiments)
    for found in vars(module).values()
    if isinstance(found, TableContract)
)
"""Every contract that one of these modules defines, in their order."""

TABLES = {table.name: table for table in ALL_TABLES}

__all__ = [  # noqa: PLE0604
    "ALL_TABLES",
    "TABLES",
    "Column",
    "TableContract",
    *[table.name.upper() for table in ALL_TABLES],
]
