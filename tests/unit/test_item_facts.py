"""Facts of items for rankers, from the catalogue to an artifact with new items."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from freshet.ranking.artifact import Artifact
from freshet.ranking.assembly import assembled
from freshet.ranking.new_items import with_new_items
from freshet.ranking.ranker.item_facts import ITEM_FACTS, item_facts
from tests.artifacts import CLOCK, no_links, recipe
from tests.catalogues import features


def catalogue() -> pa.Table:
    """Two items, of which the first is known in part and the second has no purchase."""
    rows = features(["b", "a"])
    values = {
        "price": pa.array([3.0, None], pa.float64()),
        "return_rate": pa.array([None, None], pa.float64()),
        "repeat_rate": pa.array([0.5, None], pa.float64()),
        "first_seen": pa.array([CLOCK - timedelta(days=2.5), CLOCK - timedelta(days=500)], pa.timestamp("us")),
        "last_seen": pa.array([CLOCK - timedelta(days=1), None], pa.timestamp("us")),
    }
    for name, column in values.items():
        rows = rows.set_column(rows.schema.get_field_index(name), name, column)
    return rows


def test_facts_are_as_they_are_and_minus_one_where_unknown() -> None:
    facts = item_facts(catalogue(), as_of=CLOCK)
    assert tuple(facts) == ITEM_FACTS
    assert {name: values.tolist() for name, values in facts.items()} == {
        "item_price": [3.0, -1.0],
        "item_return_rate": [-1.0, -1.0],
        "item_repeat_rate": [0.5, -1.0],
        "item_age_days": [2.5, 500.0],
        "item_idle_days": [1.0, -1.0],
    }


def test_an_artifact_has_them_in_the_order_of_its_items_also_with_new_items_and_from_disk(tmp_path: Path) -> None:
    made = assembled(recipe(), features=catalogue(), factors=None, item_weights={}, as_of=CLOCK)
    assert made.items.to_pylist() == ["a", "b"]
    assert made.facts["item_price"].tolist() == [-1.0, 3.0]
    wider = with_new_items(made, pa.array(["aa"]), np.zeros((1, 0), np.float32), no_links(1, made))
    assert wider.items.to_pylist() == ["a", "aa", "b"]
    assert wider.facts["item_age_days"].tolist() == [500.0, -1.0, 2.5]
    wider.save(tmp_path / "1")
    loaded = Artifact.load(tmp_path / "1").facts
    assert {name: values.tolist() for name, values in loaded.items()} == {
        name: values.tolist() for name, values in wider.facts.items()
    }


def test_an_artifact_from_before_facts_has_none(tmp_path: Path) -> None:
    assembled(recipe(), features=catalogue(), factors=None, item_weights={}, as_of=CLOCK).save(tmp_path / "1")
    for name in ("facts.json", "facts.npy"):
        (tmp_path / "1" / name).unlink()
    assert Artifact.load(tmp_path / "1").facts == {}
