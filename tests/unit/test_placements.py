"""Placements: every page is that of a slow twin, and designed shoppers get what a shop expects."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.contracts.policies import NEW_ITEMS, NEXT_BASKETS
from freshet.core.errors import SettingsError
from freshet.core.parameters import ParameterError
from freshet.ranking.artifact import Artifact
from freshet.ranking.best_items import _PANEL, cut
from freshet.ranking.lists.shopper_lists import recommended_in_process
from freshet.ranking.placements.parameters import PlacementParameters
from freshet.ranking.placements.registry import PLACEMENTS
from freshet.rules.list_rules import RulesOfModel
from freshet.runs.settings import load_settings
from tests.artifacts import (
    CLOCK,
    artifact,
    batch,
    both,
    bought,
    listed,
    packed,
    random_artifact,
)
from tests.oracles_recommendation import Entry, last_times, scores_of
from tests.rules_data import item, of_model, rules

WEIGHTS = {"purchase": 1.0, "refund": -1.0, "add_to_cart": 0.5, "remove_from_cart": -0.5, "view_item": 0.2}
MODEL = random_artifact(np.random.default_rng(11), items=30, rank=4, event_weights=WEIGHTS)
NAMES = MODEL.items.to_pylist()
EVERY = PlacementParameters(PLACEMENTS.names, 6, 2, True, 30.0, 7.0)

Page = list[tuple[str, str | None, list[str]]]


def pages_of(
    shoppers: dict[str, list[Entry] | None], model: Artifact = MODEL, params: PlacementParameters = EVERY, **how: Any
) -> dict[str, Page | None]:
    found = listed(
        batch(dict(shoppers)), model, clock=CLOCK, length=5, policy=NEXT_BASKETS, placements=params, **how
    ).to_pylist()
    return {
        row["user_id"]: row["placements"] and [
            (one["placement"], one["about_item_id"], [entry["item_id"] for entry in one["items"]])
            for one in row["placements"]
        ]
        for row in found
    }  # fmt: skip


def visit_of(history: list[Entry], minutes: float) -> list[Entry]:
    """The entries from which every wait up to the clock is at most `minutes`."""
    visit: list[Entry] = []
    later = CLOCK
    for entry in sorted(history, reverse=True):
        if (later - entry[0]).total_seconds() > 60 * minutes:
            break
        visit.append(entry)
        later = min(later, entry[0])
    return visit


def newest(history: list[Entry], name: str, *events: str) -> datetime:
    times = [time for (entry, event, _), time in last_times(history).items() if entry == name and event in events]
    return max(times, default=datetime.min)


def candidates_of(placement: str, history: list[Entry], params: PlacementParameters) -> tuple[str | None, dict]:
    """What a placement is about, and its candidates with their scores, as the module's docstrings say."""
    known = [entry for entry in history if entry[1] in NAMES and entry[2] in WEIGHTS]
    similar = np.maximum(MODEL.item_weights["neighbours"].toarray(), MODEL.item_weights["neighbours"].toarray().T).clip(
        max=1
    )
    own = {entry[1] for entry in known}

    def scored(past: list[Entry], policy: str) -> dict[str, float]:
        return dict(zip(NAMES, scores_of(past, MODEL, policy, CLOCK), strict=True))

    def row(matrix: np.ndarray, names: list[str]) -> dict[str, float]:
        total = sum((matrix[NAMES.index(name)] for name in names), np.zeros(len(NAMES)))
        return {name: float(total[n]) for n, name in enumerate(NAMES) if total[n] > 0 and name not in own}

    if placement == "buy_again":
        mine = {entry[1] for entry in known if entry[2] == "purchase"}
        return None, {name: value for name, value in scored(history, NEXT_BASKETS).items() if name in mine}
    if placement == "for_you":
        return None, scored(history, NEW_ITEMS)
    if placement == "session":
        visit = visit_of(known, params.visit_minutes)
        seen = {entry[1] for entry in visit}
        return None, {n: v for n, v in scored(visit, NEW_ITEMS).items() if n not in seen} if visit else {}
    if placement == "because_you_took":
        taken = [n for n in NAMES if newest(known, n, "purchase") > datetime.min and similar[NAMES.index(n)].any()]
        if not taken:
            return None, {}
        about = max(taken, key=lambda name: (newest(known, name, "purchase"), -NAMES.index(name)))
        return about, row(similar, [about])
    since = CLOCK - timedelta(days=params.cart_days)
    cart = [
        name for name in NAMES
        if newest(known, name, "add_to_cart") >= since
        and newest(known, name, "add_to_cart") > newest(known, name, "purchase", "remove_from_cart")
    ]  # fmt: skip
    about = max(cart, key=lambda name: (newest(known, name, "add_to_cart"), -NAMES.index(name)), default=None)
    return about, row(MODEL.item_weights["next_items"].toarray(), cart)


def page_of(history: list[Entry], params: PlacementParameters, left_out: set[str]) -> Page:
    page: Page = []
    listed_before: set[str] = set()
    for name in params.served:
        about, candidates = candidates_of(name, history, params)
        allowed = [
            entry for entry, value in candidates.items()
            if np.isfinite(value) and entry not in left_out and not (params.no_repeats and entry in listed_before)
        ]  # fmt: skip
        best = sorted(allowed, key=lambda entry: (-candidates[entry], entry))[: params.length]
        if len(best) >= params.least_items:
            page.append((name, about, best))
            listed_before |= set(best)
    return page


entries = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 120), st.integers(0, 20 * 1440)), st.sampled_from([*NAMES[:12], "gone"]),
        st.sampled_from([*WEIGHTS, "view_item_list"]), st.sampled_from(["o1", "o2", "o3"]),
    ),
    max_size=12, unique_by=lambda entry: entry[0],
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    drawn=entries, served=st.permutations(PLACEMENTS.names), count=st.integers(1, 5), length=st.integers(1, 8),
    least=st.integers(1, 3), no_repeats=st.booleans(), left_out=st.sets(st.sampled_from(NAMES), max_size=8),
)  # fmt: skip
def test_pages_are_those_of_the_slow_twin(
    drawn: Any, served: Any, count: int, length: int, least: int, no_repeats: bool, left_out: set[str]
) -> None:
    history = [(CLOCK - timedelta(minutes=minutes), *rest) for minutes, *rest in drawn]
    params = PlacementParameters(tuple(served[:count]), length, least, no_repeats, 45.0, 7.0)
    unavailable = of_model((), [item(name, available=False) for name in left_out], MODEL)
    found = pages_of({"other": [bought("i0001")], "u": history}, params=params, rules=unavailable)
    assert found["u"] == page_of(history, params, left_out)


def test_without_served_placements_there_is_no_page() -> None:
    assert pages_of({"u": [bought("i0001")]}, params=replace(EVERY, served=())) == {"u": None}


def test_a_shopper_without_history_gets_popular_items_and_nothing_else() -> None:
    popular = MODEL.terms["item_popular"]
    best = [NAMES[n] for n in sorted(range(len(NAMES)), key=lambda n: (-popular[n], n))[:6]]
    nothing: dict[str, list[Entry] | None] = {"new": [], "null": None}
    assert pages_of(nothing) == {name: [("for_you", None, best)] for name in nothing}


def test_reasons_say_what_a_placement_is_about() -> None:
    cart = [(CLOCK - timedelta(minutes=5), "i0003", "add_to_cart", "o9")]
    found = listed(
        batch({"u": [bought("i0007", 20), *cart]}), MODEL, clock=CLOCK, length=5, policy=NEW_ITEMS, placements=EVERY
    ).to_pylist()[0]["placements"]
    reasons = {one["placement"]: {entry["reason"] for entry in one["items"]} for one in found}
    about = {one["placement"]: one["about_item_id"] for one in found}
    assert about["because_you_took"] == "i0007"
    assert reasons["because_you_took"] == {"similar_to:i0007"}
    assert about["goes_with"] == "i0003"
    assert reasons["goes_with"] == {"goes_with:i0003"}
    for one in found:
        assert [entry["position"] for entry in one["items"]] == list(range(1, len(one["items"]) + 1))
        scores = [entry["score"] for entry in one["items"]]
        assert scores == sorted(scores, reverse=True)


def test_what_was_bought_or_taken_out_is_not_in_the_cart() -> None:
    def at(minutes: int, name: str, event: str) -> Entry:
        return (CLOCK - timedelta(minutes=minutes), name, event, f"o{minutes}")

    shoppers: dict[str, list[Entry] | None] = {
        "in the cart": [at(50, "i0003", "add_to_cart")],
        "bought": [at(50, "i0003", "add_to_cart"), at(40, "i0003", "purchase")],
        "taken out": [at(50, "i0003", "add_to_cart"), at(40, "i0003", "remove_from_cart")],
        "again": [at(50, "i0003", "add_to_cart"), at(40, "i0003", "remove_from_cart"), at(9, "i0003", "add_to_cart")],
        "long ago": [at(8 * 1440, "i0003", "add_to_cart")],
    }
    found = pages_of(shoppers, params=replace(EVERY, served=("goes_with",)))
    assert {name: [one[0] for one in page or ()] for name, page in found.items()} == {
        "in the cart": ["goes_with"], "bought": [], "taken out": [], "again": ["goes_with"], "long ago": [],
    }  # fmt: skip


def test_rules_order_and_cap_the_items_of_placements_but_pins_do_not_hold() -> None:
    items = [item(name, brand="x" if n % 2 else "y") for n, name in enumerate(NAMES)]
    only = replace(EVERY, served=("for_you",))
    history: dict[str, list[Entry] | None] = {"u": [bought("i0001")]}

    def brands(*written: dict[str, Any]) -> list[str]:
        page = pages_of(history, params=only, rules=of_model(rules(*written), items, MODEL, candidates=30))["u"]
        assert page is not None
        return ["x" if NAMES.index(name) % 2 else "y" for name in page[0][2]]

    assert set(brands()) == {"x", "y"}
    assert brands({"action": "boost", "items": {"brand": "x"}, "strength": 50.0}) == ["x"] * 6
    assert brands({"action": "exclude", "items": {"brand": "x"}}) == ["y"] * 6
    assert sorted(brands({"action": "cap", "items": {"brand": "y"}, "most": 1})) == ["x"] * 5 + ["y"]
    worst = scores_of([bought("i0001")], MODEL, NEW_ITEMS, CLOCK)
    last = NAMES[min((value, n) for n, value in enumerate(worst) if np.isfinite(value))[1]]
    pinned = of_model(
        rules({"action": "pin", "items": {"item_id": last}, "position": 1}), items, MODEL, candidates=30
    )  # fmt: skip
    page = pages_of(history, params=only, rules=pinned)["u"]
    assert page is not None
    assert last not in page[0][2]


def test_batch_and_stream_make_the_same_pages(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    MODEL.save(tmp_path / "model")
    # Ids of lists depend on the order of events in the recipe, which is another one after saving.
    model = Artifact.load(tmp_path / "model")
    shoppers: dict[str, list[Entry] | None] = {
        f"u{n}": [
            (CLOCK - timedelta(minutes=int(minutes)), str(rng.choice(NAMES)), str(rng.choice(list(WEIGHTS))), "o")
            for minutes in rng.integers(0, 400, size=9)
        ]
        for n in range(7)
    }
    of_batch = batch(dict(shoppers))
    how: dict[str, Any] = {"clock": CLOCK, "length": 4, "policy": NEW_ITEMS, "placements": EVERY}
    expected = listed(of_batch, model, **how)
    found = recommended_in_process(
        pa.table({"user_id": of_batch.column("user_id")}), packed(of_batch.column("history")),
        artifact=tmp_path / "model", threads=2, **how,
    )  # fmt: skip
    assert found.select(expected.schema.names).to_pylist() == expected.to_pylist()
    assert {one["placement"] for page in found.column("placements").to_pylist() for one in page} == set(
        PLACEMENTS.names
    )


def test_a_large_catalogue_that_is_searched_gives_the_same_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    count = 5 * _PANEL[1]
    names = [f"i{n:04d}" for n in range(count)]
    model = artifact(
        names, factors=rng.standard_normal((count, 8)), als=MODEL.recipe.als, terms={"item_popular": rng.random(count)},
        own_half_lives={"own_frequency_30d": 30.0},
        weights=both(factors=1.0, own_frequency_30d=0.7, item_popular=0.3),
    )  # fmt: skip
    assert cut(model, NEW_ITEMS, 30).is_search
    shoppers: dict[str, list[Entry] | None] = {
        f"u{n}": [(CLOCK - timedelta(minutes=int(m)), names[int(i)], "purchase", f"o{m}")
                  for m, i in zip(rng.integers(0, 9000, 20), rng.integers(0, count, 20), strict=True)]
        for n in range(3)
    }  # fmt: skip
    params = replace(EVERY, served=("session", "buy_again", "for_you"))
    by_search = pages_of(shoppers, model, params)
    monkeypatch.setattr("freshet.ranking.best_items._PANEL", (8192, count))
    assert not cut(model, NEW_ITEMS, 30).is_search
    assert by_search == pages_of(shoppers, model, params)
    assert all(by_search.values())


def test_pages_do_not_depend_on_how_shoppers_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    shoppers: dict[str, list[Entry] | None] = {
        "none": [], "long": [bought(name, n + 1) for n, name in enumerate(NAMES[:20])], "short": [bought("i0002")],
        "last": [bought(name) for name in NAMES[5:8]],
    }  # fmt: skip
    whole = pages_of(shoppers)
    monkeypatch.setattr("freshet.ranking.best_items._SCORE_CELLS", len(NAMES))
    assert pages_of(shoppers) == whole


def test_audiences_get_their_own_rules_on_pages() -> None:
    items = [item(name) for name in NAMES]
    written = rules({"action": "exclude", "items": {"item_id": NAMES[:25]}, "shoppers": {"segment": "gold"}})
    made = of_model(written, items, MODEL, shoppers={"b": {"segment": "gold"}})
    assert isinstance(made, RulesOfModel)
    same: dict[str, list[Entry] | None] = {name: [bought("i0001", 3)] for name in "abc"}
    found = pages_of(same, params=replace(EVERY, served=("for_you",)), rules=made)
    assert found["a"] == found["c"]
    page = found["b"]
    assert page is not None
    assert set(page[0][2]) <= set(NAMES[25:])


@pytest.mark.parametrize(
    ("setting", "problem"),
    [('served=["home"]', "there is no placement home"), ('served=["session","session"]', "named twice"),
     ("length=0", "length"), ("visit_minutes=0.0", "visit_minutes")],
)  # fmt: skip
def test_wrong_settings_are_refused(setting: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load_settings("test", (f"placements.{setting}",))


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ParameterError):
        PlacementParameters((), 0, 1, True, 30.0, 7.0)
