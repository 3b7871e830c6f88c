"""Plain methods as recipes: a shopper's own items come first, whatever the popularity's scale."""

import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from freshet.core.errors import DataTooSmallError
from freshet.models.items.neighbours import NeighbourConfiguration, Neighbours
from freshet.pipeline.recommender import plain_champion
from freshet.pipeline.recommender import train_recommender as recommender
from freshet.ranking.artifact import Artifact
from freshet.ranking.assembly import assembled
from freshet.ranking.lists.shopper_lists import recommended_in_process
from freshet.ranking.new_items import with_new_items
from freshet.ranking.plain_methods import own_items_first, plain_weights
from freshet.ranking.terms.registry import item_vectors
from freshet.report import words
from freshet.runs.settings import load_settings
from tests.artifacts import CLOCK, batch, bought, items_listed, no_links, packed, recipe
from tests.catalogues import with_unknown_facts
from tests.oracles_recommendation import Entry, last_times

pytestmark = pytest.mark.unit

WINDOWS = ("7d", "14d", "30d", "90d", "365d")
FIRST_SEEN = CLOCK - timedelta(days=500)


def item_names(count: int) -> list[str]:
    return [f"i{n:02d}" for n in range(count)]


def features(shoppers: list[dict[str, int]]) -> pa.Table:
    """ITEM_FEATURES of items i00, i01, ... with these counts of shoppers, 0 in windows that are not named."""
    nothing = dict.fromkeys(("shoppers", *(f"shoppers_{window}" for window in WINDOWS)), 0)
    rows = [
        {"item_id": item, "trend": 0.0, "first_seen": FIRST_SEEN} | nothing | counts
        for item, counts in zip(item_names(len(shoppers)), shoppers, strict=True)
    ]
    return with_unknown_facts(pa.Table.from_pylist(rows))


def unsearched(counts: list[dict[str, int]], neighbours: list[dict[str, Any]] | None = None) -> Artifact:
    """The artifact that serves where nothing could be searched."""
    plain = own_items_first(
        recipe(item_models={Neighbours.name: NeighbourConfiguration(50, 1.0, 0.0, None)}), half_life_days=180.0
    )
    schema = pa.schema(
        [
            ("item_id", pa.string()),
            ("neighbours", pa.list_(pa.struct([("item_id", pa.string()), ("weight", pa.float32())]))),
        ]
    )
    near = pa.Table.from_pylist(neighbours or [], schema=schema)
    return assembled(plain, features=features(counts), factors=None, item_weights={Neighbours.name: near}, as_of=CLOCK)


def own_items(history: list[Entry]) -> set[str]:
    """Items bought more often than given back; lines of an order count once."""
    total: dict[str, int] = {}
    for item, event, _ in last_times(history):
        total[item] = total.get(item, 0) + (1 if event == "purchase" else -1)
    return {item for item, count in total.items() if count > 0}


counts_of_shoppers = st.one_of(st.integers(0, 30), st.integers(0, 10**9))
catalogues = st.lists(
    st.fixed_dictionaries({"shoppers": counts_of_shoppers, "shoppers_30d": counts_of_shoppers}), min_size=2, max_size=25
)
entries = st.tuples(st.integers(0, 24), st.floats(0.01, 3000.0), st.sampled_from(["purchase", "purchase", "refund"]))


@how(deadline=None)  # the first example compiles
@given(catalogues, st.lists(entries, min_size=1, max_size=12))
def test_own_items_come_before_all_others_and_popularity_orders_the_rest(
    counts: list[dict[str, int]], drawn: list[tuple[int, float, str]]
) -> None:
    model, items = unsearched(counts), item_names(len(counts))
    history = [
        (CLOCK - timedelta(days=days), items[n % len(items)], name, f"o{place}")
        for place, (n, days, name) in enumerate(drawn)
    ]
    listed = [entry["item_id"] for entry in items_listed(model, {"u": history}, length=len(items))["u"]]
    own = own_items(history)
    assert set(listed[: len(own)]) == own
    # The popular of the last days first, of them the popular of all time; equal ones by id.
    order = {item: (-one["shoppers_30d"], -one["shoppers"], item) for item, one in zip(items, counts, strict=True)}
    # What was given back is neither: its decayed frequency may be above 0 all the same.
    others = set(items) - {item for _, item, _, _ in history}
    assert [item for item in listed[len(own) :] if item in others] == sorted(others, key=order.__getitem__)
    # The stream makes the same list of the same artifact.
    assert in_stream(model, history, len(items)) == listed


def in_stream(model: Artifact, history: list[Entry], length: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "artifact")
        made = recommended_in_process(
            pa.table({"user_id": ["u"]}), packed(batch({"u": history}).column("history")),
            artifact=Path(folder) / "artifact", clock=CLOCK, length=length, policy="next_baskets", threads=1,
        )  # fmt: skip
    return [entry["item_id"] for entry in made.column("items")[0].as_py()]


def test_among_own_items_the_frequent_and_recent_come_first() -> None:
    model = unsearched([{"shoppers_30d": 10**6}, {"shoppers_30d": 1}, {"shoppers_30d": 2}, {"shoppers_30d": 3}])
    history = [bought("i01", 1.0), bought("i01", 20.0), bought("i02", 1.5), bought("i03", 300.0)]
    listed = items_listed(model, {"u": history}, length=4)["u"]
    assert [(entry["item_id"], entry["reason"]) for entry in listed] == [
        ("i01", "bought_before"), ("i02", "bought_before"), ("i03", "bought_before"), ("i00", "popular_now"),
    ]  # fmt: skip


def test_new_items_are_neighbours_of_own_items_first_and_then_what_is_popular() -> None:
    near = [{"item_id": "i02", "neighbours": [{"item_id": "i00", "weight": 0.001}]}]
    model = unsearched([{"shoppers_30d": 5}, {"shoppers_30d": 10**6}, {}, {"shoppers_30d": 2}], near)
    listed = items_listed(model, {"u": [bought("i00")]}, policy="new_items", length=4)["u"]
    assert [(entry["item_id"], entry["reason"]) for entry in listed] == [
        ("i02", "similar_to:i00"), ("i01", "popular_now"), ("i03", "popular_now"),
    ]  # fmt: skip


def test_a_shopper_of_whom_nothing_is_known_gets_what_is_popular() -> None:
    model = unsearched([{"shoppers_30d": 5}, {"shoppers_30d": 7}, {"shoppers": 9}])
    assert [entry["item_id"] for entry in items_listed(model, {"u": []})["u"]] == ["i01", "i00", "i02"]


def test_plain_weights_name_methods_with_known_windows_only() -> None:
    found = plain_weights("next_baskets", half_lives_days=[180.0, 0.0], windows_days=[14, 21])
    assert list(found) == [
        "own_frequency_180d", "own_frequency_0d", "item_neighbours", "popularity_all", "popularity_14d",
    ]  # fmt: skip
    found = plain_weights("new_items", half_lives_days=[180.0], windows_days=[30])
    assert list(found) == ["item_neighbours", "popularity_all", "popularity_30d"]
    found = plain_weights("new_items", half_lives_days=[180.0], windows_days=[], similar_shoppers=True)
    assert list(found) == ["item_neighbours", "similar_shoppers", "popularity_all"]
    assert found["similar_shoppers"] == {"user_neighbours": 1.0, "item_rank_30d": 1e-5}


def test_ranks_are_shares_of_the_catalogue_and_equal_items_are_equal() -> None:
    counts = [{"shoppers_14d": 3}, {"shoppers_14d": 10**9}, {"shoppers_14d": 3}, {"shoppers_14d": 3, "shoppers": 1}]
    weights = {"new_items": {"item_rank_14d": 1.0}}
    assert "item_rank_14d" not in item_vectors(features(counts), as_of=CLOCK, weights={})
    ranks = item_vectors(features(counts), as_of=CLOCK, weights=weights)["item_rank_14d"]
    np.testing.assert_allclose(ranks, [0.0, 2 / 3, 0.0, 1 / 3], rtol=1e-6)
    assert ranks.dtype == np.float32


def test_a_new_item_has_the_lowest_rank_and_ranks_are_described() -> None:
    model = unsearched([{"shoppers_30d": 5}, {"shoppers_30d": 7}])
    wider = with_new_items(model, pa.array(["i99"]), np.zeros((1, 0), np.float32), no_links(1, model))
    assert wider.terms["item_rank_30d"].tolist() == [0.0, 0.5, 0.0]
    assert words.term("item_rank_30d") == "Rank by popularity in the last 30 days"
    assert words.term("item_rank_all") == "Rank by popularity of all time"


def test_a_search_that_has_too_little_to_learn_from_says_so_and_leaves_the_model_to_be_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def too_little(*_: object, **__: object) -> None:
        raise DataTooSmallError("no interaction is strong enough to learn tastes from")

    monkeypatch.setattr(recommender, "searched", too_little)
    monkeypatch.setattr(recommender, "factoriser", MagicMock())
    messages: list[str] = []
    job = MagicMock(settings=load_settings("test"), notify=messages.append)
    assert recommender._search(job, MagicMock(), MagicMock(), "purchase", tmp_path / "search.json") is None
    assert messages == ["no search: no interaction is strong enough to learn tastes from"]


def test_the_recipe_of_plain_methods_has_every_model_that_they_use() -> None:
    job = MagicMock(settings=load_settings("test"))
    job.record.return_value = {"target": "purchase"}
    made = plain_champion._recipe(job, plain_champion.plain_methods(job))
    assert set(made.item_models) == {"neighbours", "user_neighbours"}
    without = load_settings("test", ("item_models.user_neighbours.half_lives_days=[]",))
    assert "similar_shoppers" not in plain_champion.plain_methods(MagicMock(settings=without))["new_items"]


def test_a_method_that_breaks_a_limit_serves_only_where_all_do() -> None:
    worse, better = plain_champion.Choice("worse", 0.1, 9), plain_champion.Choice("better", 0.3, 9)
    broken = plain_champion.Choice("broken", 0.9, 9, breaks_limit=True)
    assert plain_champion.best_choice([worse, broken, better], "first") == better
    assert plain_champion.best_choice([replace(worse, breaks_limit=True), broken], "first") == broken
    assert plain_champion.best_choice([], "first") == plain_champion.Choice("first", None, 0)
