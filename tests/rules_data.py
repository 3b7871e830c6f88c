"""Rules and catalogues for tests."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from freshet.ranking.artifact import Artifact
from freshet.rules.compiled import CATALOGUE, CompiledRules, compiled_rules
from freshet.rules.list_rules import RulesOfModel
from freshet.rules.reading import rules_of_definitions
from freshet.rules.rule import Rule
from tests.oracles_rules import Item

MOMENT = datetime(2026, 11, 15, 12)

SHOPPERS = pa.schema([("user_id", pa.string()), ("attributes", pa.map_(pa.string(), pa.string()))])


def rules(*definitions: dict[str, Any]) -> tuple[Rule, ...]:
    """Rules with the names r0, r1 ... unless they have others."""
    return rules_of_definitions([{"name": f"r{n}", **one} for n, one in enumerate(definitions)], "test")


def item(item_id: str, **values: Any) -> Item:
    """An item without any value but these."""
    nothing: Item = dict.fromkeys(CATALOGUE.names)
    return {**nothing, "item_id": item_id, **values}


def random_items(rng: np.random.Generator, count: int) -> list[Item]:
    """Items i0000 ... with few brands and categories, some values missing."""

    def some(value: Any) -> Any:
        return None if rng.random() < 0.15 else value

    return [
        item(
            f"i{n:04d}",
            category_path=some(str(rng.choice(["a", "a > b", "a > b > c", "ab", "d"]))),
            brand=some(str(rng.choice(["x", "y", "z"]))),
            price=some(float(rng.integers(1, 40)) / 2),
            available=some(bool(rng.random() < 0.9)),
            attributes=some({"margin": str(rng.integers(0, 9)), "launch": f"2026-11-{rng.integers(10, 20)}"}),
        )
        for n in range(count)
    ]


def compiled(
    written: Sequence[Rule], items: Sequence[Item], shoppers: dict[str, dict[str, str]] | None = None,
    *, candidates: int = 10,
) -> CompiledRules:  # fmt: skip
    """The rules compiled at MOMENT."""
    table = pa.Table.from_pylist(list(items), schema=CATALOGUE)
    rows = [{"user_id": name, "attributes": list(values.items())} for name, values in (shoppers or {}).items()]
    people = pa.Table.from_pylist(rows, schema=SHOPPERS)
    return compiled_rules(written, table, people, moment=MOMENT, candidates=candidates)


def of_model(written: Sequence[Rule], items: Sequence[Item], model: Artifact, **other: Any) -> RulesOfModel:
    """The rules for the items of a model."""
    return RulesOfModel(compiled(written, items, **other), model.items)


def without(model: Artifact, positions: Sequence[int]) -> RulesOfModel:
    """No rules, and these items of the model unavailable."""
    ids = model.items.take(pa.array(positions, pa.int64())).to_pylist()
    return of_model((), [item(item_id, available=False) for item_id in ids], model)
