"""Source mappings: what a TOML file says, and everything that can be wrong in one, at once."""

from pathlib import Path

import pytest

from freshet.core.errors import MappingError
from freshet.sources.mapping import read_mapping
from freshet.sources.rules import NumberRule, Requirement, SourceMapping, TextRule

SOURCES = sorted((Path(__file__).parents[2] / "conf" / "sources").glob("*.toml"))

SOUND = """
name = "shop"
format = "csv"
event_name = "purchase"
[columns]
user_id = "customer"
[time]
column = "when"
"""


def mapping_of(tmp_path: Path, text: str) -> SourceMapping:
    path = tmp_path / "shop.toml"
    path.write_text(text, encoding="utf-8")
    return read_mapping(path)


def message_of(tmp_path: Path, text: str) -> str:
    with pytest.raises(MappingError) as caught:
        mapping_of(tmp_path, text)
    message = str(caught.value)
    assert "\n" not in message
    assert "shop.toml" in message
    return message


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_shipped_mapping_is_sound_and_named_as_its_file(path: Path) -> None:
    assert read_mapping(path).name == path.stem


def test_smallest_mapping_takes_conventions_for_the_rest(tmp_path: Path) -> None:
    mapping = mapping_of(tmp_path, SOUND)
    assert mapping.text("user_id") == TextRule(columns=("customer",))
    assert (mapping.time.formats, mapping.time.zone) == (("iso",), "UTC")
    assert (mapping.repeats, mapping.ignore) == ("duplicates", ("rest",))
    assert mapping.input.separator == ","


def test_rules_are_read_in_full(tmp_path: Path) -> None:
    text = SOUND.replace(
        'user_id = "customer"',
        """user_id = { columns = ["a", "b"], join = "-", prefix = "x" }
item_id = { column = "sku", extract = "([0-9]+)", case = "upper" }
price = { column = "cost", decimal = ",", scale = 0.01 }
quantity = { constant = 2 }""",
    )
    mapping = mapping_of(tmp_path, 'require = { price = ">= 1.5", item_id = "present" }\n' + text)
    assert mapping.text("user_id") == TextRule(columns=("a", "b"), join="-", prefix="x")
    assert mapping.text("item_id") == TextRule(columns=("sku",), extract="([0-9]+)", case="upper")
    assert mapping.number("price") == NumberRule(TextRule(columns=("cost",)), ",", ".", 0.01)
    assert mapping.number("quantity") == NumberRule(TextRule(constant="2"))
    assert mapping.require == (Requirement("price", ">=", 1.5), Requirement("item_id", None, 0.0))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('name = "shop"', 'nmae = "shop"', "nmae is not known here (did you mean name?)"),
        ('format = "csv"', 'format = "xlsx"', "format must be one of csv, json, parquet, delta, is 'xlsx'"),
        ('event_name = "purchase"', "", "event_name is missing"),
        ('event_name = "purchase"', 'event_name = "buy"', "event_name must be a GA4 event name, is 'buy'"),
        ('event_name = "purchase"', 'event_name = "purchas"', "did you mean purchase?"),
        ('user_id = "customer"', 'item_id = "sku"', "neither user_id nor anonymous_id"),
        ('user_id = "customer"', 'user_id = "a"\nitemid = "b"',
         "columns.itemid is no event column (did you mean item_id?)"),
        ('user_id = "customer"', 'user_id = "a"\nevent_time = "b"', "it is mapped by [time]"),
        ('user_id = "customer"', 'user_id = { column = "a", constant = "b" }',
         "exactly one of column, columns, constant"),
        ('user_id = "customer"', 'user_id = { column = "a", extract = "(" }',
         "columns.user_id.extract is no regular expression"),
        ('user_id = "customer"', 'user_id = "a"\nprice = "p"\nline_value = "v"', "exclude each other"),
        ('user_id = "customer"', "user_id = 7", "columns.user_id must be a column name or a table, is 7"),
        ('column = "when"', 'column = "when"\nzone = "London"', "time.zone must be an IANA zone such as Europe/London"),
        ('column = "when"', 'column = "when"\nzone = ""', "time.zone must be an IANA zone such as Europe/London"),
        *[('column = "when"', f'column = "when"\nzone = "{zone}"', f"Europe/London or UTC, is '{zone}'")
          for zone in ("Factory", "ROC", "localtime", "posixrules", "posix/Europe/London", "right/UTC")],
        ('column = "when"', 'column = "when"\nformats = []', "time.formats needs at least one"),
        ('column = "when"', 'column = "when"\nformat = []', "time.formats needs at least one"),
        ('column = "when"', 'column = "when"\nformats = ["%Y-%m-%d"]', "time.formats has '%Y-%m-%d'"),
        ('column = "when"', 'column = "when"\nformats = ["YYYY-MM-DD"]', "no datetime pattern"),
        ('column = "when"', 'column = "when"\norigin = "soon"', "time.origin must be a date"),
        ('[time]\ncolumn = "when"', "", "[time] is missing"),
        ('format = "csv"', 'format = "csv"\nrequire = { price = "positive" }', "require.price must be such as '> 0'"),
        ('format = "csv"', 'format = "csv"\nrequire = { user_id = "> 3" }', "only 'present' can be required"),
        ('format = "csv"', 'format = "csv"\noptions = { encoding = "utf-88" }', "options.encoding is not known"),
    ],
)  # fmt: skip
def test_wrong_key_is_named_with_what_was_expected(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in SOUND
    assert expected in message_of(tmp_path, SOUND.replace(old, new))


def test_all_problems_of_a_mapping_are_reported_at_once(tmp_path: Path) -> None:
    text = SOUND.replace('"csv"', '"cvs"').replace('"purchase"', '"buy"').replace('"when"', '"when"\nzone = "Nowhere"')
    message = message_of(tmp_path, text)
    assert message.count("(1)") == 1
    assert all(part in message for part in ("3 problems", "did you mean csv?", "'buy'", "'Nowhere'"))


def test_event_rules_need_one_test_and_a_known_name(tmp_path: Path) -> None:
    rules = """
[event_name]
rules = [{ column = "q", below = 0, name = "return" }, { column = "q", name = "refund" }]
"""
    message = message_of(tmp_path, SOUND.replace('event_name = "purchase"\n', "") + rules)
    assert "event_name.rules[0].name must be a GA4 event name, is 'return'" in message
    assert "event_name.rules[1] needs exactly one test" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"name = ", "not valid TOML"), (b"\xff\xfe", "not a text file in UTF-8")],
)
def test_file_that_is_no_toml_is_one_clear_line(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "shop.toml"
    path.write_bytes(content)
    with pytest.raises(MappingError, match=expected):
        read_mapping(path)


def test_missing_mapping_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="no such source mapping"):
        read_mapping(tmp_path / "none.toml")
