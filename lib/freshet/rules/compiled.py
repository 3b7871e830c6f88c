"""Rules compiled for a catalogue at a moment: an immutable folder, written once and memory-mapped by every worker.

rules.json       the rules in force, by their definitions, and when that changes
items.arrow      item_id, in rising order; every array below has one more place, for all items that are not among them
matches_*.npy    sparse [rules, items + 1]: whether an item matches the conditions of a rule
unavailable.npy  [items + 1]: items that cannot be bought now
prices.npy       [items + 1]: NaN for none
groups.npy       int32 [rules, items + 1], for rules with `by`, in their order: the group of an item, -1 for none
weights.npy      [rules, items + 1], for rules that weigh, in their order: -0.5 to 0.5, by the rank of the attribute
hashes.npy, numbers.npy, holds.npy   the audiences of the rules, in their order
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql.pandas.types import to_arrow_type
from scipy.sparse import csr_matrix
from scipy.stats import rankdata

from freshet.contracts.events import ITEM_STATE, ITEMS_HISTORY
from freshet.core.immutable_folders import mapped_items, save_items, write_folder
from freshet.rules.audiences import Audiences, audiences
from freshet.rules.catalogue import Catalogue
from freshet.rules.reading import rules_of_definitions
from freshet.rules.rule import ITEM_COLUMNS, WEIGH, Rule

CATALOGUE = pa.schema(
    [(each.name, to_arrow_type(each.type)) for each in ITEMS_HISTORY.columns if each.name in ITEM_STATE]
)
"""Columns of the items that rules are compiled for: their newest states."""

_OF_ITEMS, _OF_AUDIENCES = ("unavailable", "prices", "groups", "weights"), ("hashes", "numbers", "holds")
_SPARSE = ("indptr", "indices")


@dataclass(frozen=True)
class CompiledRules:
    """Arrays as in the module's text. `candidates`: the best items of a shopper from which rules that change the order
    choose. `changes_at`: the first moment, UTC without zone, at which compiling again gives something else; None: only
    when rules, items or shoppers change."""

    rules: tuple[Rule, ...]
    candidates: int
    changes_at: datetime | None
    items: pa.Array
    matches: csr_matrix
    unavailable: NDArray[np.bool_]
    prices: NDArray[np.float32]
    groups: NDArray[np.int32]
    weights: NDArray[np.float32]
    audiences: Audiences

    def without_rules(self) -> "CompiledRules":
        """The same items, of which only the unavailable ones are left out."""
        return replace(
            self, rules=(), matches=self.matches[:0], groups=self.groups[:0], weights=self.weights[:0],
            audiences=no_rules().audiences,
        )  # fmt: skip

    def without_availability(self) -> "CompiledRules":
        """The same rules, with every item available: for days of the past, whose availability is another one."""
        return replace(self, unavailable=np.zeros_like(self.unavailable))

    @property
    def changes_lists(self) -> bool:
        """Whether any list can differ from that of the model."""
        return bool(self.rules) or bool(self.unavailable.any())

    def save(self, folder: Path) -> Path:
        """The folder of these rules within `folder`, named by its content; an existing one is marked as in use."""
        arrays = self._arrays()
        described = json.dumps(self._described(), sort_keys=True)
        digest = hashlib.sha256(described.encode())
        digest.update("\n".join(self.items.to_pylist()).encode())
        for name, values in sorted(arrays.items()):
            digest.update(f"{name}{values.shape}{values.dtype}".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        path = folder / f"rules-{digest.hexdigest()[:16]}"
        if not mark_used(path):
            write_folder(path, lambda part: self._write(part, described, arrays))
        return path

    def _write(self, part: Path, described: str, arrays: dict[str, NDArray[Any]]) -> None:
        (part / "rules.json").write_text(described, encoding="utf-8")
        save_items(part, self.items)
        for name, values in arrays.items():
            np.save(part / f"{name}.npy", values)

    @staticmethod
    def load(folder: Path) -> "CompiledRules":
        """The rules of `save`, memory-mapped."""
        described = json.loads((folder / "rules.json").read_text(encoding="utf-8"))
        items = mapped_items(folder)
        found = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in (*_OF_ITEMS, *_OF_AUDIENCES)}
        sparse = [np.load(folder / f"matches_{name}.npy", mmap_mode="r") for name in _SPARSE]
        rules = rules_of_definitions(described["rules"], str(folder))
        changes_at = described["changes_at"]
        return CompiledRules(
            rules=rules,
            candidates=described["candidates"],
            changes_at=None if changes_at is None else datetime.fromisoformat(changes_at),
            items=items,
            matches=_matrix(*sparse, shape=(len(rules), len(items) + 1)),
            audiences=Audiences(**{name: found[name] for name in _OF_AUDIENCES}),
            **{name: found[name] for name in _OF_ITEMS},
        )

    def _described(self) -> dict[str, Any]:
        changes_at = None if self.changes_at is None else self.changes_at.isoformat()
        return {
            "rules": [rule.definition for rule in self.rules],
            "candidates": self.candidates,
            "changes_at": changes_at,
        }

    def _arrays(self) -> dict[str, NDArray[Any]]:
        own = {name: getattr(self, name) for name in _OF_ITEMS}
        own |= {name: getattr(self.audiences, name) for name in _OF_AUDIENCES}
        return own | {f"matches_{name}": getattr(self.matches, name).astype(np.int64) for name in _SPARSE}


def mark_used(path: Path) -> bool:
    """Sets the time of saved rules to now, so that retention keeps them. False if there are none at `path`."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def drop_unused(folder: Path, *, before: datetime) -> None:
    """Removes saved rules that have not been marked as in use since `before` (UTC, without zone)."""
    limit = before.replace(tzinfo=UTC).timestamp()
    for path in folder.glob("rules-*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < limit:
                shutil.rmtree(path)


def compiled_rules(
    rules: Sequence[Rule], items: pa.Table, shoppers: pa.Table, *, moment: datetime, candidates: int
) -> CompiledRules:
    """The rules in force at `moment` (UTC without zone), in their order, for items (CATALOGUE) and shoppers (user_id,
    attributes map<text, text>); both have one row each. An item with `available` null is available."""
    active = [rule for rule in rules if rule.holds_at(moment)]
    table = _with_named_items(items, active)
    catalogue = Catalogue(table, moment)
    matches = [np.flatnonzero(catalogue.matching(rule.items)) for rule in active]
    ends = np.concatenate([[0], np.cumsum([len(places) for places in matches])]).astype(np.int64)
    limited = [rule for rule in active if rule.by is not None]
    weighing = [rule for rule in active if rule.action == WEIGH]
    times = {time for rule in rules if rule.enabled for time in (rule.starts, rule.ends) if time is not None}
    later = sorted(time for time in times | catalogue.bounds if time > moment)
    size = catalogue.size
    return CompiledRules(
        rules=tuple(active),
        candidates=candidates,
        changes_at=later[0] if later else None,
        items=table.column("item_id").combine_chunks().slice(0, size - 1),
        matches=_matrix(ends, np.concatenate([*matches, np.empty(0, np.int64)]), shape=(len(active), size)),
        unavailable=_unavailable(table),
        prices=catalogue.numbers("price", is_attribute=False).astype(np.float32),
        groups=_stacked([_groups(catalogue, rule.by or "") for rule in limited], size, np.int32),
        weights=_stacked([_ranked(catalogue, rule) for rule in weighing], size, np.float32),
        audiences=audiences(active, shoppers),
    )


@lru_cache(maxsize=1)
def no_rules() -> CompiledRules:
    """Every item is available, and lists are as the model makes them."""
    nothing = CATALOGUE.empty_table(), pa.table({"user_id": pa.array([], pa.string())})
    return compiled_rules((), *nothing, moment=datetime.min, candidates=0)


def _with_named_items(items: pa.Table, rules: Sequence[Rule]) -> pa.Table:
    """The items in rising order of their ids, with those that only rules name, and a last row without any value."""
    named = {
        value for rule in rules for each in rule.items if each.column == "item_id" and not each.is_attribute
        for value in each.values
    }  # fmt: skip
    known = items.select(CATALOGUE.names).cast(CATALOGUE)
    missing = sorted(named.difference(known.column("item_id").to_pylist()))
    added = pa.Table.from_pylist([{"item_id": item_id} for item_id in missing], schema=CATALOGUE)
    last = pa.Table.from_pylist([{}], schema=CATALOGUE)
    return pa.concat_tables([pa.concat_tables([known, added]).sort_by("item_id"), last]).combine_chunks()


def _unavailable(table: pa.Table) -> NDArray[np.bool_]:
    available = pc.fill_null(table.column("available"), True)
    found: NDArray[np.bool_] = ~available.combine_chunks().to_numpy(zero_copy_only=False)
    return found


def _groups(catalogue: Catalogue, name: str) -> NDArray[np.int32]:
    return catalogue.codes(name, is_attribute=name not in ITEM_COLUMNS)


def _ranked(catalogue: Catalogue, rule: Rule) -> NDArray[np.float32]:
    """-0.5 to 0.5 by the rank of an item's value among all values, 0 for items without a value or that do not match.

    Ranks, because attributes such as margins have no unit in common with scores, and outliers. Equal values share the
    mean of their ranks."""
    name = rule.attribute or ""
    values = catalogue.numbers(name, is_attribute=name not in ITEM_COLUMNS)
    known = np.flatnonzero(np.isfinite(values) & catalogue.matching(rule.items))
    found = np.zeros(catalogue.size, dtype=np.float32)
    if len(known) > 1:
        found[known] = (rankdata(values[known]) - 1) / (len(known) - 1) - 0.5
    return found


def _stacked(rows: Sequence[NDArray[Any]], width: int, kind: Any) -> NDArray[Any]:
    return np.stack(rows).astype(kind) if rows else np.empty((0, width), dtype=kind)


def _matrix(ends: NDArray[np.int64], columns: NDArray[np.int64], *, shape: tuple[int, int]) -> csr_matrix:
    return csr_matrix((np.ones(len(columns), dtype=np.float32), columns, ends), shape=shape, copy=False)
