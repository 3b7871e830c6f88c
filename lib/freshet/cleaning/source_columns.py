"""Checks of a mapping against the columns of the data, and the columns that it reads from JSON."""

from collections.abc import Sequence
from typing import NamedTuple

from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructField, StructType

from freshet.cleaning.values import source_type
from freshet.contracts.inputs import BROKEN_RECORD
from freshet.core.errors import MappingError, listed
from freshet.sources.rules import Catalogue, EventNames, ItemAttributes, SourceMapping, TextRule, TimeRule
from freshet.sources.toml_table import nearest

_SHOWN_TYPE = 80
"""Most characters of a type in a message."""


class AbsentColumn(NamedTuple):
    """A message about a column of a mapping that the data lack, and whether they have one with a similar name."""

    problem: str
    has_like: bool


def check_mapping(mapping: SourceMapping, schema: StructType, where: str) -> None:
    """Raises MappingError that lists every column the mapping names and the data (`schema`, `where`) lack or have as
    a list, a struct or a map where one value is expected.

    If the mapping ignores columns by name, columns that are neither mapped nor ignored are listed too.
    """
    used, available = used_columns(mapping), _available(schema)
    problems = [*_absent(used, schema), *_not_one_value(used, schema), *_unknown(mapping, available)]
    _raise(problems, available, f"source {mapping.name} on {where}")


def check_json(mapping: SourceMapping, sampled: StructType, where: str) -> list[AbsentColumn]:
    """As `check_mapping`, for JSON of which a sample was read. A column that the sample lacks may appear later.

    Returns such columns.
    """
    used, available = used_columns(mapping), _available(sampled)
    problems = [*_not_one_value(used, sampled), *_unknown(mapping, available)]
    _raise(problems, available, f"source {mapping.name} on {where}")
    texts = [name for name in available if isinstance(sampled[name].dataType, StringType)]
    # A text may be a struct in too few records of the sample (sources.json_lines): then its fields are unknown.
    sure = [(key, name) for key, name in used if name.partition(".")[0] not in texts]
    return [
        AbsentColumn(f"{key} names column {name}, which is not there{like}", bool(like))
        for key, name in sure
        if source_type(name, sampled) is None and _list_above(name, sampled) is None
        for like in [nearest(name, available)]
    ]


def check_catalogue(catalogue: Catalogue, schema: StructType, where: str, *, is_sample: bool = False) -> None:
    """As `check_mapping`, for the catalogue file; `is_sample`: other columns may appear later."""
    used, available = catalogue_columns(catalogue), _available(schema)
    absent = [] if is_sample else _absent(used, schema)
    _raise([*absent, *_not_one_value(used, schema)], available, f"catalogue {where}")


def _available(schema: StructType) -> list[str]:
    return [name for name in schema.names if name != BROKEN_RECORD]


def _absent(used: list[tuple[str, str]], schema: StructType) -> list[str]:
    available = _available(schema)
    return [
        f"{key} names column {name}, which is not there{nearest(name, available)}"
        for key, name in used
        if source_type(name, schema) is None and _list_above(name, schema) is None
    ]


def _unknown(mapping: SourceMapping, available: list[str]) -> list[str]:
    if mapping.ignore == ("rest",):
        return []
    used = used_columns(mapping)
    named = {name.partition(".")[0] for _, name in used} | {name for _, name in used} | set(mapping.ignore)
    return [f"column {name} is neither mapped nor under ignore" for name in available if name not in named]


def _not_one_value(used: list[tuple[str, str]], schema: StructType) -> list[str]:
    """The columns with several values where the mapping needs one; attributes and properties may have several."""
    problems = []
    for key, name in used:
        if key == "properties" or ".attributes." in key:
            continue
        above = _list_above(name, schema)
        if above is not None:
            kind = _shown(source_type(above, schema))
            problems.append(
                f"{key} names {name}, but {above} is a list ({kind}): make a record of each entry first (explode)"
            )
        elif (instead := _instead(key, name, source_type(name, schema))) is not None:
            problems.append(f"{key} names column {name}, {instead}")
    return problems


def _list_above(name: str, schema: StructType) -> str | None:
    """The list of structs that contains the field `name`, which then has one value per entry."""
    above = name.rpartition(".")[0]
    while above:
        kind = source_type(above, schema)
        if isinstance(kind, ArrayType):
            return above
        above = above.rpartition(".")[0]
    return None


def _instead(key: str, name: str, kind: DataType | None) -> str | None:
    """A message about a `kind` that holds several values, with what to map instead; None if it holds one value."""
    if isinstance(kind, ArrayType):
        entry = kind.elementType
        field = f" and map a field of it, such as {name}.{_likely(key, entry)}" if isinstance(entry, StructType) else ""
        return f"a list ({_shown(kind)}): make a record of each entry first (explode){field}"
    if isinstance(kind, StructType):
        return f"a struct ({_shown(kind)}): map one of its fields, such as {name}.{_likely(key, kind)}"
    if isinstance(kind, MapType):
        return f"a map ({_shown(kind)}): give the value a column of its own; properties can hold the map"
    return None


def _likely(key: str, kind: StructType) -> str:
    """The field that a key of the mapping most likely means."""
    wanted = key.rpartition(".")[2]
    plain = [field.name for field in kind if not isinstance(field.dataType, ArrayType | StructType | MapType)]
    names = plain or kind.names
    same = [name for name in names if name == wanted]
    ids = [name for name in names if wanted.endswith("id") and name.lower().endswith("id")]
    return [*same, *ids, *names][0] if names else "FIELD"


def _shown(kind: DataType | None) -> str:
    text = "" if kind is None else kind.simpleString()
    return text if len(text) <= _SHOWN_TYPE else f"{text[:_SHOWN_TYPE]}..."


def _raise(problems: list[str], available: list[str], where: str) -> None:
    if not problems:
        return
    do = "Correct the mapping"
    marks = [mark for mark in (";", ",", "\t", "|") if len(available) == 1 and mark in available[0]]
    if marks:
        do = f"The columns look separated by {marks[0]!r}: set `separator` under [options]"
    raise MappingError(listed(problems), where=where, found=f"columns {', '.join(available)}", do=do)


def used_columns(mapping: SourceMapping) -> list[tuple[str, str]]:
    """(key of the mapping, source column) for every column that the mapping names."""
    used = [pair for field, rule in mapping.texts for pair in _of_text(f"columns.{field}", rule)]
    used += [pair for field, number in mapping.numbers for pair in _of_text(f"columns.{field}", number.text)]
    used += _of_names(mapping.event_names)
    used += _of_time("time", mapping.time)
    if mapping.received_time is not None:
        used += _of_time("received_time", mapping.received_time)
    used += _of_items("items", mapping.items)
    used += [("properties", name) for name in mapping.properties]
    return list(dict.fromkeys(used))


def catalogue_columns(catalogue: Catalogue) -> list[tuple[str, str]]:
    """As `used_columns`, for a catalogue."""
    return [*_of_text("items.catalogue.item_id", catalogue.item_id), *_of_items("items.catalogue", catalogue.items)]


def _of_text(key: str, rule: TextRule | None) -> list[tuple[str, str]]:
    if rule is None:
        return []
    return [(key, name) for name in (*rule.columns, *([rule.unless] if rule.unless else []))]


def _of_names(names: EventNames) -> list[tuple[str, str]]:
    return [*_of_text("event_name", names.text), *[("event_name", rule.column) for rule in names.rules]]


def _of_time(key: str, rule: TimeRule) -> list[tuple[str, str]]:
    sequence = [(f"{key}.sequence", rule.sequence)] if rule.sequence else []
    return [*_of_text(key, rule.text), *sequence]


def _of_items(key: str, items: ItemAttributes) -> list[tuple[str, str]]:
    rules = {"name": items.name, "category_path": items.category_path, "brand": items.brand,
             "price": None if items.price is None else items.price.text, "available": items.available,
             **{f"attributes.{name}": rule for name, rule in items.attributes}}  # fmt: skip
    return [pair for name, rule in rules.items() for pair in _of_text(f"{key}.{name}", rule)]


def event_columns(mapping: SourceMapping) -> StructType:
    """`json_columns` of an event."""
    return json_columns([name for _, name in used_columns(mapping)])


def json_columns(names: Sequence[str]) -> StructType:
    """The schema for reading JSON objects: the columns that a mapping names, as texts; names with dots are in structs.

    Only named columns are read, so that new fields do no harm. A property named `properties` is a map of texts. The
    last column holds the text of records that could not be read.
    """
    return StructType([*_fields_of(names), StructField(BROKEN_RECORD, StringType())])


def _fields_of(names: Sequence[str]) -> list[StructField]:
    inner: dict[str, list[str]] = {}
    for name in names:
        head, dot, rest = name.partition(".")
        inner.setdefault(head, []).extend([rest] if dot else [])
    return [StructField(head, _type_of(head, rests)) for head, rests in inner.items()]


def _type_of(name: str, inner: list[str]) -> DataType:
    if inner:
        return StructType(_fields_of(inner))
    return MapType(StringType(), StringType()) if name == "properties" else StringType()
