"""The merchandising rules of a home, compiled as of a moment."""

import json
from datetime import datetime

import pyarrow as pa

from freshet.contracts import MERCHANDISING_RULES, USER_ATTRIBUTES
from freshet.core.errors import InputError
from freshet.rules.compiled import CompiledRules, compiled_rules
from freshet.rules.parameters import RuleParameters
from freshet.rules.reading import rules_of_definitions
from freshet.rules.rule import Rule
from freshet.tables.format.arrow_rows import arrow_schema
from freshet.tables.lookups.item_states import item_states
from freshet.tables.lookups.snapshot import whole_table
from freshet.tables.warehouse import Warehouse


def written_rules(warehouse: Warehouse) -> tuple[Rule, ...]:
    """The rules of table `merchandising_rules`, in their order. Raises InputError if it holds what is no rule."""
    rows = whole_table(warehouse, MERCHANDISING_RULES).sort_by("position")
    where = f"table {MERCHANDISING_RULES.name}"
    try:
        definitions = [json.loads(text) for text in rows.column("definition").to_pylist()]
    except ValueError as error:
        raise InputError(f"a definition is not valid JSON: {error}", where=where) from None
    if not all(isinstance(one, dict) for one in definitions):
        raise InputError("a definition is not a JSON object", where=where)
    return rules_of_definitions(definitions, where)


def rules_in_force(warehouse: Warehouse, moment: datetime, params: RuleParameters) -> CompiledRules:
    """The rules of the home, compiled for its items and shoppers as of a moment (UTC without zone).

    Without rules only unavailable items are read, which are few; shoppers are read only if a rule asks for their
    attributes. Raises InputError if the table holds what is no rule."""
    rules = written_rules(warehouse)
    shoppers = whole_table(warehouse, USER_ATTRIBUTES) if any(rule.shoppers for rule in rules) else NO_SHOPPERS
    return compiled_for(warehouse, rules, shoppers, moment, params)


def compiled_for(
    warehouse: Warehouse, rules: tuple[Rule, ...], shoppers: pa.Table, moment: datetime, params: RuleParameters
) -> CompiledRules:
    """These rules, compiled for the items of the home and for shoppers (user_id, attributes, ...)."""
    items = item_states(warehouse, moment, only_unavailable=not rules)
    return compiled_rules(rules, items, shoppers, moment=moment, candidates=params.candidates)


NO_SHOPPERS = arrow_schema(USER_ATTRIBUTES).empty_table()
