"""The parts of a source mapping: where a value comes from and how it is read. Plain data, parsed in rule_parsing."""

from dataclasses import dataclass

from freshet.contracts.inputs import InputFormat

MISTAKES_FOUND_LATE = ("DATETIME_PATTERN", "PARAMETER_VALUE.PATTERN", "PatternSyntax", "INVALID_TIMEZONE")
"""Texts in Spark's errors about patterns and zones, which only Spark can check when they are first used."""


@dataclass(frozen=True)
class TextRule:
    """A text from one or several source columns, or a constant. Steps apply in the order of the fields.

    Several columns are joined by `join` (null when one of them is empty); without `join` the first that is not empty
    counts. `extract` is a regular expression: its first group, else the whole match, null without a match. `replace`
    are literal replacements, `values` maps whole texts and leaves others unchanged. `unless` names a column: the
    value is null where that one is not empty. Prefix and suffix do not turn an empty value into a text.
    """

    columns: tuple[str, ...] = ()
    constant: str | None = None
    join: str | None = None
    extract: str | None = None
    case: str | None = None
    replace: tuple[tuple[str, str], ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    prefix: str = ""
    suffix: str = ""
    unless: str | None = None


@dataclass(frozen=True)
class NumberRule:
    """A number written in a text. `decimal` and `thousands` are its marks; it is multiplied by `scale`."""

    text: TextRule
    decimal: str = "."
    thousands: str = ""
    scale: float = 1.0


@dataclass(frozen=True)
class EventRule:
    """`name` for records whose `column` passes the test: one of equals, matches, below, above, at_least, at_most,
    present. An empty value passes no test but present = false."""

    column: str
    test: str
    operand: str | float | bool | tuple[str, ...]
    name: str


@dataclass(frozen=True)
class EventNames:
    """GA4 event names: a constant, a text with a map of its values, or rules of which the first that fits counts.

    A text without a map already holds GA4 names. `otherwise` names what neither map nor rules know; without it such
    records are refused.
    """

    constant: str | None = None
    text: TextRule | None = None
    values: tuple[tuple[str, str], ...] = ()
    rules: tuple[EventRule, ...] = ()
    otherwise: str | None = None


@dataclass(frozen=True)
class TimeRule:
    """A time. `formats` are tried in order: iso, unix_s, unix_ms, unix_us, days, or a Spark datetime pattern.

    Times without a zone are in `zone`. Counted times (unix_*, days) count from `origin`, an ISO date. `sequence` is a
    number column that orders records with the same time: it is added as milliseconds, at most a day.
    `sequence_by_row` uses the row number instead.
    """

    text: TextRule
    formats: tuple[str, ...] = ("iso",)
    zone: str = "UTC"
    origin: str = "1970-01-01"
    sequence: str | None = None
    sequence_by_row: bool = False


@dataclass(frozen=True)
class Requirement:
    """Records must have `field`, and satisfy `relation` (>, >=, <, <=) to `limit`; None: any value is accepted."""

    field: str
    relation: str | None
    limit: float


@dataclass(frozen=True)
class ItemAttributes:
    """Where attributes of items come from; a missing rule leaves the attribute null."""

    name: TextRule | None = None
    category_path: TextRule | None = None
    brand: TextRule | None = None
    price: NumberRule | None = None
    available: TextRule | None = None
    attributes: tuple[tuple[str, TextRule], ...] = ()


@dataclass(frozen=True)
class Catalogue:
    """A file with one row per item, next to the input. It may be absent at run time."""

    file: str
    input: InputFormat
    item_id: TextRule
    items: ItemAttributes


@dataclass(frozen=True)
class ProductRule:
    """What a product looks like: regular expressions to be found in the item id and in the name.

    They match anywhere in the text: anchor them with ^ and $. An empty name is not judged.
    """

    item_id: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class SourceMapping:
    """A source: how its files are read and how each record becomes an event. See conf/sources/README.md."""

    name: str
    input: InputFormat
    texts: tuple[tuple[str, TextRule], ...]
    numbers: tuple[tuple[str, NumberRule], ...]
    event_names: EventNames
    time: TimeRule
    received_time: TimeRule | None
    items: ItemAttributes
    catalogue: Catalogue | None
    product: ProductRule
    require: tuple[Requirement, ...]
    properties: tuple[str, ...]
    ignore: tuple[str, ...]
    repeats: str
    null_values: tuple[str, ...]

    def text(self, field: str) -> TextRule | None:
        """The rule of a text field, None when the mapping has none."""
        return dict(self.texts).get(field)

    def number(self, field: str) -> NumberRule | None:
        """The rule of a number field, None when the mapping has none."""
        return dict(self.numbers).get(field)
