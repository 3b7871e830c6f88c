"""Rules from files and tables: what is accepted, and one error with line, rule and field for everything that is not."""

import json
from datetime import datetime
from typing import Any

import pytest

from freshet.core.conf_files import conf_folder
from freshet.core.errors import InputError
from freshet.rules.reading import rules_of_definitions, rules_of_toml
from freshet.rules.rule import ACTIONS, ItemCondition, ShopperCondition

FULL = """
[[rules]]
name = "sale"
action = "boost"
strength = 0.5
items = { category = "Home > Lights", brand = ["a", "b"], price = { at_least = 1, below = 2.5 } }
starts = 2026-11-01
ends = 2026-12-01T00:00:00+01:00
shoppers = { segment = ["loyal"], Age = { values = "adult", or_unknown = true } }

[[rules]]
name = "new"
action = "exclude"
enabled = false
[rules.items.attributes]
launch = { at_least = "now" }
ends = { below = 2026-11-05 }
colour = "red"
stock = { missing = true }
"""


def test_all_fields_are_read() -> None:
    sale, new = rules_of_toml(FULL, "r.toml")
    assert sale.items == (
        ItemCondition("category", values=("Home > Lights",)),
        ItemCondition("brand", values=("a", "b")),
        ItemCondition("price", at_least=1.0, below=2.5),
    )
    assert sale.shoppers == (ShopperCondition("segment", ("loyal",)), ShopperCondition("Age", ("adult",), True))
    assert (sale.starts, sale.ends) == (datetime(2026, 11, 1), datetime(2026, 11, 30, 23))
    assert sale.strength == 0.5
    assert new.items == (
        ItemCondition("launch", True, at_least="now"),
        ItemCondition("ends", True, below=datetime(2026, 11, 5)),
        ItemCondition("colour", True, ("red",)),
        ItemCondition("stock", True, missing=True),
    )
    assert not new.enabled


def test_rules_are_the_same_after_the_table() -> None:
    read = rules_of_toml(FULL, "r.toml")
    stored = [json.loads(json.dumps(rule.definition)) for rule in read]
    assert rules_of_definitions(stored, "table merchandising_rules") == tuple(
        type(rule)(**{**vars(rule), "definition": definition}) for rule, definition in zip(read, stored, strict=True)
    )


def test_the_rules_in_conf_are_valid_and_their_head_names_every_action() -> None:
    text = conf_folder().joinpath("rules.toml").read_text(encoding="utf-8")
    assert len(rules_of_toml(text, "conf/rules.toml")) >= 5
    head = text.split("[[rules]]\nname", 1)[0]
    assert [action for action in ACTIONS if action not in head] == []


def rule(**values: Any) -> str:
    return "[[rules]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


BOOST = {"name": "n", "action": "boost", "strength": 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (rule(name="n", action="bost"), "line 3, rule 1 'n': action must be one of"),
        (rule(name="n", action="bost"), "(did you mean boost?)"),
        (rule(action="boost", strength=1) + 'items = {brand = "x"}\n', "line 1, rule 1: name is missing"),
        (rule(name="n"), "line 1, rule 1 'n': action is missing"),
        (rule(**BOOST), "line 1, rule 1 'n': items is missing: a rule with action boost needs it"),
        (
            rule(**BOOST) + "items = {}\n",
            "line 5, rule 1 'n': items has no condition, so the rule would be about every",
        ),
        (rule(**BOOST) + "items = {brnd = 1}\n", "items.brnd is not known here (did you mean brand?)"),
        (rule(**BOOST) + "items = {brand = []}\n", "line 5, rule 1 'n': items.brand has no value"),
        (rule(**BOOST) + "items = {price = {}}\n", "items.price has no condition"),
        (
            rule(**BOOST) + 'items = {price = {below = "soon"}}\n',
            "items.price.below must be a date such as 2026-11-01, a",
        ),
        (rule(**BOOST) + "items = {price = {belo = 1}}\n", "items.price.belo is not known here (did you mean below?)"),
        (
            rule(**BOOST, most=1) + 'items = {brand = "x"}\n',
            "line 5, rule 1 'n': most is no field of a rule with action",
        ),
        (rule(name="n", action="boost", strength=0), "line 4, rule 1 'n': strength must be above 0.0, is 0.0"),
        (rule(name="n", action="boost", strength="1"), "strength must be a number, is '1'"),
        (rule(name="n", action="share", at_least=1.5), "at_least must be at most 1.0, is 1.5"),
        (rule(name="n", action="pin", position=0), "position must be a whole number of 1 or more, is 0"),
        (rule(name="n", action="pin", position=True), "position must be a whole number of 1 or more, is True"),
        (rule(name="n", action="cap", most=1), "by or items is missing: a cap needs to know which items it counts"),
        (rule(name="n", action="price_band", low=2, high=1), "low must be below high (1), is 2"),
        (rule(name="n", action="price_band", low=-1, high=1), "low must be 0.0 or more, is -1.0"),
        (rule(**BOOST, starts="2026-02-30"), "starts must be a date such as 2026-11-01, is '2026-02-30'"),
        (rule(**BOOST, starts="2026-02-03", ends="2026-02-03"), "ends must be later than starts"),
        (rule(**BOOST, enabled="yes"), "enabled must be true or false, is 'yes'"),
        (rule(**BOOST) + "shoppers = {segment = []}\n", "line 5, rule 1 'n': shoppers.segment has no value"),
        (rule(**BOOST) + "items = 3\n", "line 5, rule 1 'n': items must be a table, is 3"),
        ("[rule]\n", "rule is not known here; known: [[rules]]"),
        ("rules = 3\n", "rules must be a list of tables"),
        ("[[rules]\n", "not valid TOML"),
        (
            "# first\n\n" + rule(**BOOST) + 'items = {brand = "x"}\n' + rule(**BOOST),
            "line 9, rule 2 'n': name 'n' is the",
        ),
    ],
)
def test_what_is_wrong_is_said_with_line_rule_and_field(text: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        rules_of_toml(text, "r.toml")
    assert problem in str(caught.value)
    assert str(caught.value).startswith("r.toml: ")
    assert "\n" not in str(caught.value)


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(InputError, match=r"3 problems: \(1\) line 5, .*\(2\) line 4, .*\(3\) line 8, "):
        rules_of_toml(rule(name="n", action="boost", strength=-1) + "items = {}\n" + rule(name="m", action="x"), "r")


def test_rules_of_a_table_name_the_rule() -> None:
    with pytest.raises(InputError, match=r"^table merchandising_rules: rule 2 'b': action must be one of"):
        rules_of_definitions(
            [{"name": "a", "action": "weigh", "attribute": "price", "strength": 1}, {"name": "b", "action": "x"}],
            "table merchandising_rules",
        )


def test_a_file_without_rules_has_none() -> None:
    assert rules_of_toml("# nothing\n", "r.toml") == ()
