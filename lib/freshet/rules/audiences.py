"""For which shoppers a rule holds: shoppers of the same attributes, as far as rules ask for them, are one audience."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.rules.rule import Rule, ShopperCondition
from freshet.rules.text_columns import TextColumn, attribute_columns

ATTRIBUTES = pa.map_(pa.string(), pa.string())


@dataclass(frozen=True)
class Audiences:
    """hashes [shoppers]: those of the ids, rising; numbers [shoppers]: the audience of each; holds [audiences, rules]:
    whether a rule holds for it. Audience 0 is that of all other shoppers: no attribute of theirs is known."""

    hashes: NDArray[np.uint64]
    numbers: NDArray[np.int32]
    holds: NDArray[np.bool_]

    def numbers_of(self, user_ids: pa.Array) -> NDArray[np.int32]:
        """The audience of each of these shoppers."""
        if len(self.holds) == 1:
            return np.zeros(len(user_ids), dtype=np.int32)
        wanted = _hashes(user_ids.to_pylist())
        places = np.searchsorted(self.hashes, wanted)
        is_known = np.append(self.hashes, 0)[places] == wanted
        return np.where(is_known, np.append(self.numbers, 0)[places], 0).astype(np.int32)


def audiences(rules: Sequence[Rule], shoppers: pa.Table) -> Audiences:
    """The audiences of these rules for shoppers (user_id, attributes map<text, text>), one row each.

    Shoppers are found by a hash of 64 bits: among a million, two have the same one with a probability of 3e-8.
    """
    conditioned = [number for number, rule in enumerate(rules) if not rule.is_for_all]
    if not conditioned:
        return Audiences(np.empty(0, np.uint64), np.empty(0, np.int32), np.ones((1, len(rules)), dtype=np.bool_))
    ids, attributes = shoppers.column("user_id").combine_chunks(), shoppers.column("attributes").combine_chunks()
    # The last row is a shopper without attributes.
    whole = pa.concat_arrays([attributes, pa.array([None], ATTRIBUTES)])
    columns = {name: TextColumn(values) for name, values in attribute_columns(whole).items()}
    nothing = TextColumn(pa.nulls(len(whole), pa.string()))
    # Only of rules with conditions: there is a row for every shopper.
    found = np.ones((len(whole), len(conditioned)), dtype=np.bool_)
    for place, number in enumerate(conditioned):
        for condition in rules[number].shoppers:
            found[:, place] &= _holds(condition, columns.get(condition.attribute, nothing))
    packed = np.ascontiguousarray(np.packbits(found, axis=1))
    _, firsts, numbers = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    numbers = numbers.ravel()
    # The shopper without attributes comes first: exchange the numbers.
    last = numbers[-1]
    swapped = np.arange(len(firsts))
    swapped[[0, last]] = swapped[[last, 0]]
    numbers, firsts = swapped[numbers], firsts[swapped]
    holds = np.ones((len(firsts), len(rules)), dtype=np.bool_)
    holds[:, conditioned] = found[firsts]
    hashes = _hashes(ids.to_pylist())
    order = np.argsort(hashes)
    return Audiences(hashes[order], numbers[:-1][order].astype(np.int32), holds)


def _holds(condition: ShopperCondition, column: TextColumn) -> NDArray[np.bool_]:
    found = column.among(condition.values, with_deeper=False)
    return found | (column.codes < 0) if condition.or_unknown else found


def _hashes(user_ids: Iterable[str]) -> NDArray[np.uint64]:
    parts = b"".join(hashlib.blake2b(user_id.encode(), digest_size=8).digest() for user_id in user_ids)
    return np.frombuffer(parts, dtype="<u8").astype(np.uint64)
