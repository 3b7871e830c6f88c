"""What rules change in lists, rule by rule."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.rules.list_rules import RulesOfModel
from freshet.rules.rule import DIVERSIFY, PRICE_BAND


class RuleEffect(NamedTuple):
    """Counts for one rule in lists of shoppers for whom it holds: items that match it, and lists with such an item,
    without rules and with all of them. None for rules that are about every item."""

    name: str
    action: str
    matching_items: int
    lists: int
    items_before: int | None
    items_after: int | None
    lists_before: int | None
    lists_after: int | None


def rule_effects(
    rules: RulesOfModel, before: NDArray[np.int64], after: NDArray[np.int64], *, audience: NDArray[np.int32]
) -> list[RuleEffect]:
    """The effect of each compiled rule. `before` and `after` [shoppers, length] are positions of listed items in the
    model, -1 where a list has ended; `audience` is that of each shopper."""
    found = []
    for number, rule in enumerate(rules.rules.rules):
        is_judged = rules.rules.audiences.holds[audience, number]
        matching = np.zeros(rules.size + 1, dtype=np.bool_)
        matching[rules.matching_items(number)] = True
        counts: list[int | None] = [None] * 4
        if rule.action not in (PRICE_BAND, DIVERSIFY):
            hits = [matching[lists[is_judged]] for lists in (before, after)]
            counts = [*[int(hit.sum()) for hit in hits], *[int(hit.any(axis=1).sum()) for hit in hits]]
        found.append(RuleEffect(rule.name, rule.action, int(matching.sum()), int(is_judged.sum()), *counts))
    return found
