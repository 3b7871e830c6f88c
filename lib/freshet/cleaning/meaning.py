"""The meaning of a source mapping: whether two mapping files differ in more than comments, layout and order."""

import dataclasses
import json
import tomllib

from freshet.sources.mapping import source_mapping
from freshet.sources.rules import ItemAttributes, SourceMapping


def mapping_meaning(mapping: SourceMapping) -> str:
    """A text that is equal for mappings that turn every record into the same event."""
    catalogue = mapping.catalogue
    normal = dataclasses.replace(
        mapping,
        texts=tuple(sorted(mapping.texts, key=lambda pair: pair[0])),
        numbers=tuple(sorted(mapping.numbers, key=lambda pair: pair[0])),
        items=_sorted_attributes(mapping.items),
        catalogue=catalogue and dataclasses.replace(catalogue, items=_sorted_attributes(catalogue.items)),
    )
    return json.dumps(dataclasses.asdict(normal), sort_keys=True)


def _sorted_attributes(items: ItemAttributes) -> ItemAttributes:
    return dataclasses.replace(items, attributes=tuple(sorted(items.attributes, key=lambda pair: pair[0])))


def meaning_of_text(text: str) -> str:
    """The meaning of a mapping kept as the text of its TOML file; any other text is its own meaning."""
    problems: list[str] = []
    try:
        mapping = source_mapping(tomllib.loads(text), problems)
    except tomllib.TOMLDecodeError:
        return text
    return text if problems else mapping_meaning(mapping)
