"""Whether a mapping fits the columns that the data have."""

from pyspark.sql.types import StructType

from freshet.cleaning.values import source_type
from freshet.contracts.inputs import BROKEN_RECORD
from freshet.core.errors import MappingError, listed
from freshet.sources.rules import Catalogue, EventNames, ItemAttributes, SourceMapping, TextRule, TimeRule
from freshet.sources.toml_table import nearest


def check_mapping(mapping: SourceMapping, schema: StructType, where: str) -> None:
    """Raises MappingError that lists every column the mapping names and the data (`schema`, `where`) lack.

    Also where the mapping ignores columns by name: every column that is neither mapped nor ignored.
    """
    used = used_columns(mapping)
    available = [name for name in schema.names if name != BROKEN_RECORD]
    problems = [
        f"{key} names column {name}, which is not there{nearest(name, available)}"
        for key, name in used
        if source_type(name, schema) is None
    ]
    if mapping.ignore != ("rest",):
        named = {name.partition(".")[0] for _, name in used} | {name for _, name in used} | set(mapping.ignore)
        problems += [f"column {name} is neither mapped nor under ignore" for name in available if name not in named]
    _raise(problems, available, f"source {mapping.name} on {where}")


def check_catalogue(catalogue: Catalogue, schema: StructType, where: str) -> None:
    """As `check_mapping`, for the catalogue file."""
    used = catalogue_columns(catalogue)
    available = [name for name in schema.names if name != BROKEN_RECORD]
    problems = [
        f"{key} names column {name}, which is not there{nearest(name, available)}"
        for key, name in used
        if source_type(name, schema) is None
    ]
    _raise(problems, available, f"catalogue {where}")


def _raise(problems: list[str], available: list[str], where: str) -> None:
    if not problems:
        return
    do = "Correct the mapping"
    marks = [mark for mark in (";", ",", "\t", "|") if len(available) == 1 and mark in available[0]]
    if marks:
        do = f"The columns look parted by {marks[0]!r}: set `separator` under [options]"
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
