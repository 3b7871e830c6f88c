"""Source mappings: the TOML files in conf/sources/ that turn any shop's records into events."""

import re
import tomllib
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from freshet.contracts.events import EVENTS
from freshet.contracts.inputs import FORMATS, InputFormat
from freshet.core.errors import MappingError, listed
from freshet.sources.rule_parsing import event_names, number_rule, text_rule, time_rule
from freshet.sources.rules import (
    Catalogue,
    ItemAttributes,
    NumberRule,
    ProductRule,
    Requirement,
    SourceMapping,
    TextRule,
    TimeRule,
)
from freshet.sources.toml_table import TomlTable, nearest

ID_FIELDS = ("event_id", "user_id", "anonymous_id", "session_id", "item_id", "transaction_id")
CONSENT_FIELDS = ("consent_personalisation", "consent_marketing")
TEXT_FIELDS = (*ID_FIELDS, "currency", "item_list_id", "recommendation_id", *CONSENT_FIELDS)
NUMBER_FIELDS = ("item_position", "quantity", "price", "line_value", "position")
EVENTS_REPEAT, DUPLICATES_REPEAT = "events", "duplicates"

_REQUIREMENT = re.compile(r"(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)")


def read_mapping(path: Path | Traversable) -> SourceMapping:
    """The mapping in a TOML file. Raises MappingError listing everything that is wrong in it."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise MappingError("there is no such source mapping", where=str(path), do="See conf/sources/") from None
    except PermissionError:
        raise MappingError("the source mapping cannot be read: no right to", where=str(path)) from None
    except UnicodeDecodeError:
        raise MappingError("not a text file in UTF-8", where=str(path), expected="a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"not valid TOML: {error}", where=str(path)) from None
    problems: list[str] = []
    mapping = source_mapping(values, problems)
    if problems:
        raise MappingError(listed(problems), where=str(path), do="conf/sources/README.md explains every key")
    return mapping


def source_mapping(values: dict[str, Any], problems: list[str]) -> SourceMapping:
    """The mapping in the values of a TOML file; what is wrong is added to `problems`."""
    table = TomlTable(values, "", problems)
    name = table.text("name") or ""
    if not name or not name.replace("_", "").replace("-", "").isalnum():
        table.problem("name", f"must be letters, digits, - and _, is '{name}'")
    texts, numbers = _columns(table)
    time, received = table.table("time"), table.table("received_time")
    if time is None:
        problems.append("[time] is missing: say which column holds the time, and its formats")
    items = table.table("items")
    catalogue = items.table("catalogue") if items is not None else None
    product = table.table("product")
    mapping = SourceMapping(
        name=name,
        input=_input_format(table, ""),
        texts=texts,
        numbers=numbers,
        event_names=event_names(table.raw("event_name"), problems),
        time=TimeRule(TextRule()) if time is None else time_rule(time),
        received_time=None if received is None else time_rule(received),
        items=ItemAttributes() if items is None else _item_attributes(items),
        catalogue=None if catalogue is None else _catalogue(catalogue),
        product=ProductRule() if product is None else ProductRule(product.regex("item_id"), product.regex("name")),
        require=_requirements(table),
        properties=table.texts("properties"),
        ignore=table.texts("ignore", ("rest",)),
        repeats=table.text("repeats", DUPLICATES_REPEAT, one_of=(DUPLICATES_REPEAT, EVENTS_REPEAT)) or "",
        null_values=table.texts("null_values"),
    )
    if product is not None:
        product.close()
    _check_price(mapping, problems)
    table.close()
    return mapping


def _columns(
    table: TomlTable,
) -> tuple[tuple[tuple[str, TextRule], ...], tuple[tuple[str, NumberRule], ...]]:
    columns = table.table("columns")
    texts: dict[str, TextRule] = {}
    numbers: dict[str, NumberRule] = {}
    if columns is None:
        table.problems.append("[columns] is missing: map at least user_id or anonymous_id")
        return (), ()
    for field, value in columns.values.items():
        where = f"columns.{field}"
        if field in TEXT_FIELDS and (text := text_rule(value, where, table.problems)):
            texts[field] = text
        elif field in NUMBER_FIELDS and (number := number_rule(value, where, table.problems)):
            numbers[field] = number
        elif field not in (*TEXT_FIELDS, *NUMBER_FIELDS):
            _unknown_field(field, where, table.problems)
    if not {"user_id", "anonymous_id"} & set(columns.values):
        table.problems.append("columns has neither user_id nor anonymous_id: no shopper could get recommendations")
    return tuple(texts.items()), tuple(numbers.items())


def _unknown_field(field: str, where: str, problems: list[str]) -> None:
    elsewhere = {
        "event_time": "[time]",
        "received_time": "[received_time]",
        "event_name": "event_name",
        "properties": "properties",
        **dict.fromkeys(("name", "brand", "category_path", "available", "attributes"), "[items]"),
    }
    known = (*TEXT_FIELDS, *NUMBER_FIELDS)
    if field in elsewhere:
        problems.append(f"{where} does not belong here; it is mapped by {elsewhere[field]}")
    else:
        problems.append(f"{where} is no event column{nearest(field, known)}; known: {', '.join(known)}")


def _check_price(mapping: SourceMapping, problems: list[str]) -> None:
    if mapping.number("price") is not None and mapping.number("line_value") is not None:
        problems.append("columns.price and columns.line_value exclude each other: price is line_value / quantity")
    known = set(EVENTS.column_names)
    for need in mapping.require:
        if need.field not in known:
            problems.append(f"require.{need.field} is no event column{nearest(need.field, known)}")
        elif need.relation is not None and need.field not in NUMBER_FIELDS:
            problems.append(f"require.{need.field} is no number: only 'present' can be required")


def _input_format(table: TomlTable, default_format: str) -> InputFormat:
    kind = table.text("format", default_format, one_of=FORMATS) or ""
    if not kind and not table.has("format"):
        table.problem("format", f"is missing: one of {', '.join(FORMATS)}")
    files = table.text("files")
    options = table.table("options") or TomlTable({}, "options", table.problems)
    quote = options.text("quote", '"') or ""
    names = options.texts("column_names")
    encoding = options.text("encoding", "UTF-8") or "UTF-8"
    try:
        "".encode(encoding)
    except LookupError:
        options.problem("encoding", f"is not known: '{encoding}'; such as UTF-8, ISO-8859-1, windows-1252")
    form = InputFormat(
        format=kind,
        files=files,
        separator=options.text("separator", ",") or ",",
        quote=quote,
        # Doubled quotes, as in RFC 4180; Spark's default would be a backslash.
        escape=options.text("escape", quote) or quote,
        comment=options.text("comment"),
        column_names=names or None,
        encoding=encoding,
        multi_line=options.flag("multi_line"),
        uneven_rows=options.flag("uneven_rows"),
    )
    options.close()
    return form


def _item_attributes(table: TomlTable) -> ItemAttributes:
    rules = {
        key: text_rule(table.raw(key), f"{table.where}.{key}", table.problems) if table.has(key) else None
        for key in ("name", "category_path", "brand", "available")
    }
    price = table.raw("price")
    more = table.table("attributes")
    pairs = [] if more is None else [(key, text_rule(one, f"{more.where}.{key}", more.problems))
                                     for key, one in more.values.items()]  # fmt: skip
    table.raw("catalogue")
    table.close()
    return ItemAttributes(
        **rules,
        price=None if price is None else number_rule(price, f"{table.where}.price", table.problems),
        attributes=tuple((key, rule) for key, rule in pairs if rule is not None),
    )


def _catalogue(table: TomlTable) -> Catalogue:
    file = table.text("file") or ""
    if not file:
        table.problem("file", "is missing: the catalogue's path relative to the input's folder")
    guess = next((kind for kind in FORMATS if f".{kind}" in file.lower()), "csv")
    if not table.has("item_id"):
        table.problem("item_id", "is missing: the column that holds the item's id")
    item_id = text_rule(table.raw("item_id"), f"{table.where}.item_id", []) or TextRule()
    form = _input_format(table, guess)
    return Catalogue(file, form, item_id, _item_attributes(table))


def _requirements(table: TomlTable) -> tuple[Requirement, ...]:
    found: list[Requirement] = []
    for field, text in table.pairs("require"):
        need = _REQUIREMENT.fullmatch(text.strip())
        if text.strip() == "present":
            found.append(Requirement(field, None, 0.0))
        elif need is not None:
            found.append(Requirement(field, need[1], float(need[2])))
        else:
            table.problem(f"require.{field}", f"must be such as '> 0', '>= 1' or 'present', is '{text}'")
    return tuple(found)
