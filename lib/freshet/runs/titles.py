"""The steps of the main job by name, in their order, as people read of them. Plain text: known without Spark."""

TITLES = {
    "ingest": "Take in raw records",
    "build": "Build interactions and features",
    "train-recommender": "Train the recommender",
    "train-propensity": "Train the purchase probability",
    "train-segments": "Train customer segments",
    "promote": "Judge challengers at the gate",
    "recommend": "Write lists, scores and segments",
    "replay": "Replay the live days",
    "evaluate": "Judge lists on the test days",
    "report": "Write the report",
}

OTHER_TITLES = {"items": "Take in states of items", "mend": "Take refused records in again"}
"""Of steps that are no part of it."""
