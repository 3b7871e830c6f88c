"""Compiled rules: when they change, how they are saved, whom they are for, and what they have changed."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from freshet.rules.audiences import audiences
from freshet.rules.compiled import CATALOGUE, CompiledRules, compiled_rules, drop_unused, no_rules
from freshet.rules.effects import rule_effects
from freshet.rules.list_rules import RulesOfModel, usual_prices
from freshet.rules.rule import Rule
from tests.oracles_rules import holds_for_shopper
from tests.rules_data import SHOPPERS, compiled, item, random_items, rules

LAUNCHES = [item("a", attributes={"launch": "2026-11-20"}), item("b", attributes={"launch": "2026-11-18T06:00:00"}),
            item("c", attributes={"launch": "2026-11-01"}), item("d", attributes={"launch": "someday"})]  # fmt: skip

AFTER_FIRST = datetime(2026, 11, 18, 6, 0, 0, 1)
"""The first moment at which the first launch is in the past."""


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ({"action": "exclude", "items": {"attributes": {"launch": {"at_least": "now"}}}}, AFTER_FIRST),
        ({"action": "exclude", "items": {"attributes": {"launch": "2026-11-20"}}}, None),
        ({"action": "weigh", "attribute": "price", "strength": 1, "starts": "2026-11-16"}, datetime(2026, 11, 16)),
        ({"action": "weigh", "attribute": "price", "strength": 1, "starts": "2026-11-14", "ends": "2026-11-17"},
         datetime(2026, 11, 17)),
        ({"action": "weigh", "attribute": "price", "strength": 1, "ends": "2026-11-14"}, None),
        ({"action": "weigh", "attribute": "price", "strength": 1, "starts": "2026-11-16", "enabled": False}, None),
    ],
)  # fmt: skip
def test_rules_say_when_they_change(definition: dict[str, Any], expected: datetime | None) -> None:
    assert compiled(rules(definition), LAUNCHES).changes_at == expected


def test_a_change_that_was_announced_happens_then_and_not_before() -> None:
    written = rules({"action": "exclude", "items": {"attributes": {"launch": {"at_least": "now"}}}})
    table, nobody = pa.Table.from_pylist(LAUNCHES, schema=CATALOGUE), SHOPPERS.empty_table()

    def excluded(moment: datetime) -> tuple[list[str], datetime | None]:
        made = compiled_rules(written, table, nobody, moment=moment, candidates=10)
        left_out = RulesOfModel(made, table.column("item_id").combine_chunks()).left_out_for_all()
        return table.column("item_id").take(pa.array(left_out)).to_pylist(), made.changes_at

    assert excluded(AFTER_FIRST - timedelta(microseconds=2)) == (["a", "b"], AFTER_FIRST)
    # A launch at this very moment is still "at least now"; a microsecond later it is not.
    assert excluded(AFTER_FIRST - timedelta(microseconds=1)) == (["a", "b"], AFTER_FIRST)
    assert excluded(AFTER_FIRST) == (["a"], datetime(2026, 11, 20, 0, 0, 0, 1))
    assert excluded(datetime(2026, 12, 1)) == ([], None)


def test_saved_rules_are_the_same_and_equal_ones_share_a_folder(tmp_path: Path) -> None:
    written = rules(
        {"action": "cap", "by": "brand", "most": 1},
        {"action": "weigh", "attribute": "margin", "strength": 0.5, "shoppers": {"segment": "gold"}},
        {"action": "exclude", "items": {"item_id": ["i0003", "unknown"]}},
    )
    made = compiled(written, random_items(np.random.default_rng(1), 30), {"u": {"segment": "gold"}})
    folder = made.save(tmp_path / "rules")
    read = CompiledRules.load(folder)
    assert read.rules == made.rules
    assert read.items.equals(made.items)
    assert "unknown" in read.items.to_pylist()
    assert (read.matches != made.matches).nnz == 0
    for name in ("unavailable", "groups", "weights"):
        assert np.array_equal(getattr(read, name), getattr(made, name))
    assert np.array_equal(read.prices, made.prices, equal_nan=True)
    assert np.array_equal(read.audiences.holds, made.audiences.holds)
    assert made.save(tmp_path / "rules") == folder
    other = compiled(written[:2], random_items(np.random.default_rng(1), 30), {"u": {"segment": "gold"}})
    assert other.save(tmp_path / "rules") != folder
    assert len(list((tmp_path / "rules").iterdir())) == 2


def test_a_shop_without_a_catalogue_has_rules_too(tmp_path: Path) -> None:
    made = compiled(rules({"action": "price_band", "low": 0.5, "high": 2.0}), []).save(tmp_path)
    read = RulesOfModel(CompiledRules.load(made), pa.array(["a", "b"]))
    assert read.left_out_for_all().tolist() == []
    assert read.of_audience(0).has_band


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        compiled((), [item("a", available=False)]).save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_nobody_uses_are_dropped(tmp_path: Path) -> None:
    old = compiled(rules({"action": "cap", "by": "brand", "most": 1}), [item("a")]).save(tmp_path)
    new = compiled(rules({"action": "cap", "by": "brand", "most": 2}), [item("a")]).save(tmp_path)
    now = datetime(2026, 11, 1)
    os.utime(old, times=(0, (now - timedelta(days=2)).replace(tzinfo=UTC).timestamp()))
    drop_unused(tmp_path, before=now)
    assert list(tmp_path.iterdir()) == [new]
    drop_unused(tmp_path / "nothing", before=now)


def test_no_rules_change_no_list() -> None:
    assert not no_rules().changes_lists
    assert compiled((), [item("a", available=False)]).changes_lists
    assert not compiled((), [item("a", available=True), item("b")]).changes_lists
    assert compiled(rules({"action": "cap", "by": "brand", "most": 1}), []).changes_lists


def test_audiences_are_those_of_the_slow_twin() -> None:
    rng = np.random.default_rng(2)
    written = rules(
        {"action": "price_band", "low": 0.1, "high": 2.0, "shoppers": {"segment": ["gold", "new"]}},
        {"action": "price_band", "low": 0.1, "high": 2.0, "shoppers": {"segment": "gold", "Country": "DE"}},
        {"action": "price_band", "low": 0.1, "high": 2.0, "shoppers": {"Age": {"values": "18", "or_unknown": True}}},
    )
    people = {
        f"u{n}": {name: str(rng.choice(values)) for name, values in
                  (("segment", ["gold", "new", "lost"]), ("Country", ["DE", "FR"]), ("Age", ["17", "18"]))
                  if rng.random() < 0.7}
        for n in range(200)
    }  # fmt: skip
    rows = [{"user_id": name, "attributes": list(values.items())} for name, values in people.items()]
    made = audiences(written, pa.Table.from_pylist(rows, schema=SHOPPERS))
    names = [*people, "stranger", "anon:u1"]
    found = made.numbers_of(pa.array(names))
    assert made.holds[found].tolist() == [
        [holds_for_shopper(rule, people.get(name, {})) for rule in written] for name in names
    ]
    assert found[-2:].tolist() == [0, 0]
    assert len(np.unique(made.holds, axis=0)) == len(made.holds)


def test_rules_for_everybody_make_one_audience() -> None:
    made = audiences((), SHOPPERS.empty_table())
    assert made.numbers_of(pa.array(["a", "b"])).tolist() == [0, 0]


def test_effects_count_what_each_rule_is_about_in_the_lists_of_its_shoppers() -> None:
    items = [item("a", brand="x"), item("b", brand="x"), item("c"), item("d")]
    written = rules(
        {"action": "exclude", "items": {"brand": "x"}},
        {"action": "boost", "strength": 1, "items": {"item_id": "d"}, "shoppers": {"segment": "gold"}},
        {"action": "price_band", "low": 0.5, "high": 2.0},
    )
    made = RulesOfModel(compiled(written, items, {"u": {"segment": "gold"}}), pa.array(list("abcd")))
    before, after = np.array([[0, 1, 2], [0, 3, -1]]), np.array([[3, 2, -1], [2, 3, -1]])
    found = rule_effects(made, before, after, audience=made.audiences_of(pa.array(["u", "v"])))
    assert [tuple(effect) for effect in found] == [
        ("r0", "exclude", 2, 2, 3, 0, 2, 0),
        ("r1", "boost", 1, 1, 0, 1, 0, 1),
        ("r2", "price_band", 4, 2, None, None, None, None),
    ]


def test_a_usual_price_is_the_median_of_known_prices() -> None:
    prices = np.array([1.0, 3.0, np.nan, 10.0], dtype=np.float32)
    row, taken = np.array([0, 0, 0, 2, 2, 3]), np.array([0, 1, 3, 1, 3, 2])
    assert np.array_equal(usual_prices(row, taken, prices, 5), [3.0, np.nan, 6.5, np.nan, np.nan], equal_nan=True)


def test_items_that_the_catalogue_does_not_have_match_only_what_is_missing() -> None:
    written: tuple[Rule, ...] = rules({"action": "exclude", "items": {"brand": {"missing": True}}})
    made = RulesOfModel(compiled(written, [item("a", brand="x"), item("b")]), pa.array(["a", "b", "new"]))
    assert made.left_out_for_all().tolist() == [1, 2]
    only = RulesOfModel(compiled(rules({"action": "include", "items": {"brand": "x"}}), [item("a", brand="x")]),
                        pa.array(["a", "new"]))  # fmt: skip
    assert only.left_out_for_all().tolist() == [1]
