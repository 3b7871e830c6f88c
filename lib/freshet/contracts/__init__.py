"""All tables Freshet makes, in the order of the flow. Pure data: no session, no path, no clock."""

from freshet.contracts.events import EVENTS, ITEMS_HISTORY, QUARANTINE
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
from freshet.contracts.operations import EVALUATION_RESULTS, MODEL_DECISIONS, QUALITY_METRICS, STREAM_METRICS
from freshet.contracts.table import Column, TableContract

ALL_TABLES: tuple[TableContract, ...] = (
    EVENTS, QUARANTINE, ITEMS_HISTORY, INTERACTIONS, USER_FEATURES, ITEM_FEATURES, ITEM_FACTORS, USER_FACTORS,
    RECOMMENDATIONS, RECOMMENDATION_UPDATES, SIMILAR_ITEMS, POPULAR_ITEMS, USER_SCORES, USER_SEGMENTS,
    SEGMENT_PROFILES, EVALUATION_RESULTS, MODEL_DECISIONS, STREAM_METRICS, QUALITY_METRICS,
)  # fmt: skip

TABLES = {table.name: table for table in ALL_TABLES}

__all__ = [  # noqa: PLE0604
    "ALL_TABLES",
    "TABLES",
    "Column",
    "TableContract",
    *[table.name.upper() for table in ALL_TABLES],
]
