"""User neighbours against plain loops: who is kept, who is near, and what that says of items."""

import math
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix

from freshet.models.items.item_model import SHOPPERS, FitLimits, FittedWeights, TrainingData
from freshet.models.items.user_neighbours import (
    UserNeighbourConfiguration,
    UserNeighbours,
    nearest_shoppers,
    recent_shoppers,
)
from freshet.ranking.artifact import Artifact
from freshet.ranking.assembly import assembled
from freshet.ranking.histories.history_block import read_block
from freshet.ranking.new_items import with_new_items
from freshet.ranking.scoring import reached_items
from tests.artifacts import CLOCK, Entry, all_scores, both, bought, histories, items_listed, no_links, recipe
from tests.catalogues import features
from tests.factories import local_frame

SEQUENCE = "user_id string, item_id string, position timestamp"
ITEMS = [f"i{n}" for n in range(7)]

Events = Sequence[tuple[str, str, float]]
"""(shopper, item, days before CLOCK)."""


def _artifact(spark: SparkSession, events: Events, configuration: UserNeighbourConfiguration) -> Artifact:
    rows = [{"user_id": u, "item_id": i, "position": CLOCK - timedelta(days=days)} for u, i, days in events]
    data = TrainingData(lambda *_: None, local_frame(spark, SEQUENCE, rows), features(ITEMS), CLOCK)  # type: ignore[arg-type,return-value]
    table = UserNeighbours().fit(configuration, data, FitLimits(100, 1.0, 1))
    chosen = recipe(item_models={"user_neighbours": configuration}, weights=both(user_neighbours=1.0))
    return assembled(
        chosen, features=data.features, factors=None, item_weights={"user_neighbours": table}, as_of=CLOCK
    )  # fmt: skip


def _drawn(seed: int) -> list[tuple[str, str, float]]:
    chance = np.random.default_rng(seed)
    return [(f"u{u:02}", f"i{i}", float(chance.integers(0, 80))) for u in range(12) for i in range(7)
            for _ in range(2) if chance.random() < 0.25]  # fmt: skip


def _kept(events: Events, configuration: UserNeighbourConfiguration) -> list[dict[str, float]]:
    """The rows of the kept shoppers, the most recent first, ties by rising id."""
    newest: dict[str, dict[str, float]] = {}
    for user, item, days in events:
        own = newest.setdefault(user, {})
        own[item] = min(days, own.get(item, math.inf))
    chosen = sorted(newest, key=lambda user: (min(newest[user].values()), user))[: configuration.shoppers]
    half_life = configuration.half_life_days or math.inf
    return [
        {item: 0.5 ** (days / half_life)
         for item, days in sorted(newest[user].items(), key=lambda pair: (pair[1], pair[0]))[: configuration.items]}
        for user in chosen
    ]  # fmt: skip


def _scores(own: dict[str, float], kept: list[dict[str, float]], configuration: UserNeighbourConfiguration) -> list:
    """Scores by item, scaled so that the highest is 1; all 0 without a neighbour."""

    def length(row: dict[str, float]) -> float:
        return math.sqrt(sum(value**2 for value in row.values()))

    looked_at = {item: [n for n, row in enumerate(kept) if item in row][: configuration.per_item] for item in own}
    near = []
    for place, row in enumerate(kept):
        dot = sum(value * row[item] for item, value in own.items() if place in looked_at[item])
        if dot:
            near.append((-round(dot / (length(own) * length(row) + configuration.shrinkage), 6), place))
    found = {item: 0.0 for item in ITEMS}
    for similarity, place in sorted(near)[: configuration.count]:
        for item, value in kept[place].items():
            found[item] -= similarity * value
    highest = max(found.values())
    return [found[item] / highest if highest else 0.0 for item in ITEMS]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    "configuration",
    [
        UserNeighbourConfiguration(3, 100, 0.0, 100, 100, None),
        UserNeighbourConfiguration(4, 100, 0.7, 100, 100, 20.0),
        UserNeighbourConfiguration(100, 100, 0.0, 5, 2, 20.0),
        UserNeighbourConfiguration(100, 2, 0.0, 100, 100, 20.0),
    ],
    ids=["plain", "shrunk-and-decayed", "few-kept", "few-looked-at"],
)
def test_scores_equal_plain_loops(spark: SparkSession, seed: int, configuration: UserNeighbourConfiguration) -> None:
    events, kept = _drawn(seed), _kept(_drawn(seed), configuration)
    model = _artifact(spark, events, configuration)
    chance = np.random.default_rng(seed + 50)
    shoppers = {f"s{n}": [bought(item, float(chance.integers(0, 90))) for item in ITEMS if chance.random() < 0.4]
                for n in range(6)}  # fmt: skip
    how = {"items": model.items, "event_names": model.recipe.event_names, "clock": CLOCK}
    scores = all_scores(read_block(histories(*shoppers.values()), **how), model, "next_baskets")
    half_life = configuration.half_life_days or math.inf
    for row, entries in zip(scores, shoppers.values(), strict=True):
        own = {item: 0.5 ** (_days(entry) / half_life) for entry in entries for item in [entry[1]]}
        assert row.tolist() == pytest.approx(_scores(own, kept, configuration), abs=1e-5)


def _days(entry: Entry) -> float:
    return (CLOCK - entry[0]) / timedelta(days=1)


def test_the_newest_shoppers_are_kept_ties_by_id(spark: SparkSession) -> None:
    rows = [
        {"user_id": user, "item_id": item, "position": None if days is None else CLOCK - timedelta(days=days)}
        for user, item, days in [("c", "x", 2), ("b", "x", 2), ("a", "x", 9), ("a", "y", 5), ("d", "x", 1),
                                 ("d", "x", 7), (None, "x", 0), ("e", None, 0), ("f", "x", None)]
    ]  # fmt: skip
    found = recent_shoppers(local_frame(spark, SEQUENCE, rows), 2).collect()
    assert sorted((row["user_id"], row["item_id"]) for row in found) == [("b", "x"), ("d", "x")]
    day = 86_400.0
    newest = CLOCK.timestamp() if CLOCK.tzinfo else (CLOCK - CLOCK.__class__(1970, 1, 1)).total_seconds()
    assert {row["user_id"]: row["position"] for row in found} == {"b": newest - 2 * day, "d": newest - day}


def test_of_equally_near_shoppers_the_first_are_neighbours() -> None:
    fitted = FittedWeights(csr_matrix(np.array([[1, 1], [1, 0], [1, 1], [0, 1]], dtype=np.float32)), SHOPPERS)
    own = csr_matrix(np.array([[1, 1], [0, 1], [0, 0]], dtype=np.float32))
    found = nearest_shoppers(own, fitted, count=2, per_item=9, shrinkage=0.0).toarray()
    assert found == pytest.approx(np.array([[1, 0, 1, 0], [math.sqrt(0.5), 0, 0, 1], [0, 0, 0, 0]]), abs=1e-6)


def test_values_too_small_to_multiply_give_no_neighbours() -> None:
    tiny = np.full((3, 4), 1e-30, dtype=np.float32)
    found = nearest_shoppers(
        csr_matrix(tiny), FittedWeights(csr_matrix(tiny), SHOPPERS), count=2, per_item=9, shrinkage=0
    )
    assert found.nnz == 0


def test_items_that_come_later_leave_the_neighbours_and_their_items(spark: SparkSession) -> None:
    events = [("u", "i0", 3.0), ("u", "i5", 3.0), ("v", "i2", 2.0), ("v", "i5", 2.0)]
    model = _artifact(spark, events, UserNeighbourConfiguration(5, 10, 0.0, 10, 10, None))
    wider = with_new_items(model, pa.array(["a", "i3a"]), np.zeros((2, 0), np.float32), no_links(2, model))
    shopper = {"s": [bought("i0"), bought("i2", 9)]}
    before, after = (items_listed(one, shopper, "new_items", length=1)["s"] for one in (model, wider))
    assert [(entry["item_id"], entry["score"]) for entry in after] == [("i5", 1.0)]
    assert after == before
    assert wider.item_weights["user_neighbours"].shape == (2, len(ITEMS) + 2)


def test_as_many_items_are_reached_as_the_neighbours_have(spark: SparkSession) -> None:
    events = [(f"u{n}", f"i{item}", 3.0) for n in range(4) for item in range(5)]
    model = _artifact(spark, events, UserNeighbourConfiguration(3, 10, 0.0, 10, 10, None))
    assert reached_items(model, "next_baskets") == 3 * 5


def test_similar_shoppers_are_the_reason(spark: SparkSession) -> None:
    events = [("u", "i0", 3.0), ("u", "i1", 3.0), ("v", "i2", 3.0)]
    model = _artifact(spark, events, UserNeighbourConfiguration(5, 10, 0.0, 10, 10, None))
    (listed,) = items_listed(model, {"s": [bought("i0")]}, "new_items", length=1).values()
    assert [(entry["item_id"], entry["reason"]) for entry in listed] == [("i1", "similar_shoppers")]
