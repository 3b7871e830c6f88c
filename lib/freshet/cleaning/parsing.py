"""Raw records to typed events: every column of the contract, and the problems of each record."""

from datetime import datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import MapType, StructType

from freshet.cleaning.checks import record_checks
from freshet.cleaning.event_names import event_name_of
from freshet.cleaning.item_attributes import ITEM_COLUMNS, item_attribute_columns, text_map
from freshet.cleaning.parameters import CleaningParameters
from freshet.cleaning.problems import has_problem, problems_of
from freshet.cleaning.source_columns import used_columns
from freshet.cleaning.times import moment_of
from freshet.cleaning.values import (
    id_text,
    number_of,
    plain_text,
    source_column,
    source_type,
    text_of,
    with_plain_texts,
    yes_or_no,
)
from freshet.contracts import EVENTS
from freshet.contracts.events import SCHEMA_VERSION
from freshet.contracts.inputs import BROKEN_RECORD
from freshet.sources.mapping import CONSENT_FIELDS, DUPLICATES_REPEAT, ID_FIELDS, NUMBER_FIELDS
from freshet.sources.rules import SourceMapping, TextRule

PLACE = ("source_partition", "source_offset")
_PIECE_EVENTS = ("purchase", "refund", "add_to_cart", "remove_from_cart")


def parsed(
    raw: DataFrame,
    mapping: SourceMapping,
    *,
    now: datetime | Column,
    params: CleaningParameters,
    arrived: Column | None = None,
    carried: tuple[str, ...] = (),
) -> DataFrame:
    """One row per raw record: EVENTS columns, ITEM_COLUMNS, record_hash, `problems` and `is_sound`, and `carried`.

    `raw` has the source columns, source_partition and source_offset. `problems` is an array of (reason_code, field,
    message), the most serious first, empty for a sound record. `is_sound` says only whether it is empty, for queries
    that need no messages, whose plans it makes smaller. Values that cannot be read are null. `now` (UTC) is the run's
    time: later events are problems. Quantities of refunds become positive. Events about pieces count one piece when the
    mapping has no quantity. `record_hash` is equal for records whose source columns are all equal. `arrived`
    is the receipt time of records without one of their own; if it is None, their event time is used. Columns `carried`
    are not part of the record.
    """
    schema = StructType([field for field in raw.schema if field.name not in (*PLACE, *carried)])
    names = [*schema.names, *[name for _, name in used_columns(mapping)]]
    texts = with_plain_texts(raw, names, mapping.null_values)
    whole = texts.withColumns(_read_columns(schema, mapping)).withColumns(_derived_columns(mapping, arrived))
    tolerance = timedelta(hours=params.future_tolerance_hours)
    latest = now + tolerance if isinstance(now, datetime) else now + F.lit(tolerance)
    checks = record_checks(mapping, schema, earliest=params.earliest_event_date, latest=latest)
    late = F.col("received_time") > F.col("event_time") + F.lit(timedelta(hours=params.late_after_hours))
    judged = whole.withColumns(
        {
            "problems": problems_of(checks),
            "is_sound": ~has_problem(checks),
            "flags": flag_array([("non_product", _non_product(mapping)), ("late", late)]),
        }
    )
    return judged.select(*EVENTS.column_names, *ITEM_COLUMNS, "record_hash", "problems", "is_sound", *carried)


def flag_array(flags: list[tuple[str, Column]]) -> Column:
    """The names of the flags whose condition is true, as an array; a null condition is false."""
    array = F.array().cast("array<string>")
    for name, condition in flags:
        array = F.when(condition, F.concat(array, F.array(F.lit(name)))).otherwise(array)
    return array


def record_hash(schema: StructType, mapping: SourceMapping) -> Column:
    """A hash (32 hex digits) of the source and all its columns, to recognise equal records."""
    texts = [F.coalesce(plain_text(name), F.lit("\u0000")) for name in schema.names]
    return F.md5(F.concat_ws("\u001f", F.lit(mapping.name), *texts))


def _read_columns(schema: StructType, mapping: SourceMapping) -> dict[str, Column]:
    """Every value that the mapping names, as the source has it; null columns for fields that it does not name."""
    texts, numbers = dict(mapping.texts), dict(mapping.numbers)
    columns: dict[str, Column] = {}
    for field in ID_FIELDS:
        rule = texts.get(field)
        columns[field] = _nothing("string") if rule is None else id_text(rule, schema)
    for field in ("currency", "item_list_id", "recommendation_id"):
        rule = texts.get(field)
        columns[field] = _nothing("string") if rule is None else text_of(rule)
    for field in CONSENT_FIELDS:
        rule = texts.get(field)
        columns[field] = _nothing("boolean") if rule is None else yes_or_no(text_of(rule))
    for field in NUMBER_FIELDS:
        number = numbers.get(field)
        columns[f"read_{field}"] = _nothing("double") if number is None else number_of(number, schema)
    received = mapping.received_time
    columns |= {
        "event_name": event_name_of(mapping.event_names, schema),
        "event_time": moment_of(mapping.time, schema),
        "read_received_time": _nothing("timestamp") if received is None else moment_of(received, schema),
        "record_hash": record_hash(schema, mapping),
        "properties": _properties(mapping, schema),
        BROKEN_RECORD: F.col(BROKEN_RECORD) if BROKEN_RECORD in schema.names else _nothing("string"),
    }
    return columns | dict(zip(ITEM_COLUMNS, item_attribute_columns(mapping.items, schema), strict=True))


def _properties(mapping: SourceMapping, schema: StructType) -> Column:
    """The columns to keep, as a map; a single column that is a map already is unchanged."""
    if len(mapping.properties) == 1 and isinstance(source_type(mapping.properties[0], schema), MapType):
        return source_column(mapping.properties[0], schema)
    return text_map([(name, plain_text(name)) for name in mapping.properties])


def _derived_columns(mapping: SourceMapping, arrived: Column | None) -> dict[str, Column]:
    quantity, name = F.col("read_quantity"), F.col("event_name")
    is_refund = F.coalesce(name == "refund", F.lit(False))
    if mapping.number("quantity") is None:
        pieces = F.when(name.isin(*_PIECE_EVENTS), F.lit(1.0))
    else:
        pieces = F.when(is_refund, F.abs(quantity)).otherwise(quantity)
    price = F.col("read_price")
    if mapping.number("line_value") is not None:
        price = F.try_divide(F.col("read_line_value"), F.coalesce(quantity, F.lit(1.0)))
        price = F.when(is_refund, F.abs(price)).otherwise(price)
    received = F.col("event_time")
    if mapping.received_time is not None or arrived is not None:
        times = [F.col("read_received_time"), *([] if arrived is None else [arrived]), F.col("event_time")]
        # No event is received before it happens: this corrects a sender whose clock is ahead.
        received = F.greatest(F.coalesce(*times), F.col("event_time"))
    return {
        "event_id": _event_id(mapping),
        "item_position": F.coalesce(F.col("read_item_position").try_cast("int"), F.lit(0)),
        "received_time": received,
        "quantity": pieces,
        "price": price,
        "currency": F.upper("currency"),
        "position": F.col("read_position").try_cast("int"),
        "schema_version": F.lit(SCHEMA_VERSION),
        "source": F.lit(mapping.name),
    }


def _event_id(mapping: SourceMapping) -> Column:
    """The source's own id, else a hash: of the record's content, or of its place where equal records are events.

    With a hash of the content, the same file under another name adds no events.
    """
    own = F.col("record_hash")
    if mapping.repeats != DUPLICATES_REPEAT:
        own = F.md5(F.concat_ws("\u001f", F.lit(mapping.name), *PLACE))
    return own if mapping.text("event_id") is None else F.coalesce("event_id", own)


def _non_product(mapping: SourceMapping) -> Column:
    rules = ((mapping.product.item_id, "item_id"), (mapping.product.name, "item_name"))
    wrong = F.lit(False)
    for pattern, column in rules:
        if pattern is not None:
            wrong = wrong | F.coalesce(~F.col(column).rlike(pattern), F.lit(False))
    return wrong


def restorable_columns(mapping: SourceMapping) -> dict[str, Column]:
    """The EVENTS and ITEM_COLUMNS that need not be kept for each record, with the expressions that restore them.

    They are the same for all records of the source, or equal to another column that is kept.
    """
    types = {column.name: column.type for column in EVENTS.columns}
    mapped = {field for field, _ in (*mapping.texts, *mapping.numbers)}
    made = {"schema_version": F.lit(SCHEMA_VERSION), "source": F.lit(mapping.name)}
    for field in (*ID_FIELDS, *CONSENT_FIELDS, "currency", "item_list_id", "recommendation_id", "position"):
        if field not in mapped and field != "event_id":
            made[field] = F.lit(None).cast(types[field])
    if "item_position" not in mapped:
        made["item_position"] = F.lit(0)
    if not mapping.properties:
        made["properties"] = _nothing("map<string,string>")
    rules = (mapping.items.name, mapping.items.category_path, mapping.items.brand, mapping.items.price,
             mapping.items.available, mapping.items.attributes or None)  # fmt: skip
    kinds = ("string", "string", "string", "double", "boolean", "map<string,string>")
    for name, rule, kind in zip(ITEM_COLUMNS, rules, kinds, strict=True):
        if rule is None:
            made[name] = _nothing(kind)
    return made | _equal_columns(mapping)


def _equal_columns(mapping: SourceMapping) -> dict[str, Column]:
    """Columns that the mapping makes equal to another one or to a constant."""
    made: dict[str, Column] = {}
    if mapping.received_time is None:
        made["received_time"] = F.col("event_time")
    if mapping.event_names.constant is not None:
        made["event_name"] = F.lit(mapping.event_names.constant)
    currency = mapping.text("currency")
    if currency is not None and currency.constant is not None and currency.unless is None:
        made["currency"] = F.upper(text_of(currency))
    kept: dict[TextRule, str] = {}
    for field, rule in mapping.texts:
        if field in ID_FIELDS and field != "event_id" and kept.setdefault(rule, field) != field:
            made[field] = F.col(kept[rule])
    return made


def _nothing(kind: str) -> Column:
    return F.lit(None).cast(kind)
