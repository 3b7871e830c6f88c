"""Raw records to typed events: every column of the contract, and what is wrong with each record."""

from datetime import datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from freshet.cleaning.checks import record_problems
from freshet.cleaning.event_names import event_name_of, event_value_of, not_a_number
from freshet.cleaning.parameters import CleaningParameters
from freshet.cleaning.problems import PROBLEM_TYPE
from freshet.cleaning.rules import ItemAttributes, SourceMapping, TextRule
from freshet.cleaning.source import DUPLICATES_REPEAT
from freshet.cleaning.times import moment_of, moment_text
from freshet.cleaning.values import id_text, number_of, plain_text, text_of, yes_or_no
from freshet.contracts import EVENTS
from freshet.contracts.events import SCHEMA_VERSION
from freshet.contracts.inputs import BROKEN_RECORD

PLACE = ("source_partition", "source_offset")
ITEM_COLUMNS = ("item_name", "item_category_path", "item_brand", "item_price", "item_available", "item_attributes")
_PIECE_EVENTS = ("purchase", "refund", "add_to_cart", "remove_from_cart")
_ID_FIELDS = ("event_id", "user_id", "anonymous_id", "session_id", "item_id", "transaction_id")


def parsed(raw: DataFrame, mapping: SourceMapping, *, now: datetime, params: CleaningParameters) -> DataFrame:
    """One row per raw record: EVENTS columns, ITEM_COLUMNS, record_hash and `problems`.

    `raw` is source columns with source_partition and source_offset. `problems` is an array of (reason_code, field,
    message), the gravest first, empty for a sound record; values that cannot be read are null. `now` (UTC) is the
    run's time: later events are problems. Quantities of refunds become positive. Events about pieces count one piece
    when the mapping has no quantity. `record_hash` is equal for records whose source columns are all equal.
    """
    schema = StructType([field for field in raw.schema if field.name not in PLACE])
    read = raw.select(*PLACE, *_read_columns(schema, mapping))
    whole = read.withColumns(_derived(mapping)).withColumn("event_id", _event_id(mapping))
    limits = (params.earliest_event_date, now + timedelta(hours=params.future_tolerance_hours))
    problems = F.array_compact(F.array(*record_problems(mapping, earliest=limits[0], latest=limits[1])))
    late = F.col("received_time") > F.col("event_time") + timedelta(hours=params.late_after_hours)
    flags = F.array_compact(
        F.array(F.when(_non_product(mapping), F.lit("non_product")), F.when(late, F.lit("late")))
    )
    return whole.select(
        "*", problems.cast(f"array<{PROBLEM_TYPE}>").alias("problems"), flags.alias("flags")
    ).select(*EVENTS.column_names, *ITEM_COLUMNS, "record_hash", "problems")


def record_hash(schema: StructType) -> Column:
    """A hash (32 hex digits) of all source columns, for telling equal records. Null differs from an empty text."""
    texts = [F.coalesce(plain_text(name, schema, ()), F.lit("\u0000")) for name in schema.names]
    return F.md5(F.concat_ws("\u001f", *texts))


def _read_columns(schema: StructType, mapping: SourceMapping) -> list[Column]:
    """Every value the mapping names, and under said_* what stood there where it could not be read."""
    nulls = mapping.null_values
    texts, numbers = dict(mapping.texts), dict(mapping.numbers)
    columns = []
    for field in _ID_FIELDS:
        rule = texts.get(field)
        columns.append((F.lit(None).cast("string") if rule is None else id_text(rule, schema, nulls)).alias(field))
    for field in ("currency", "item_list_id", "recommendation_id", "consent_personalisation", "consent_marketing"):
        columns.append(_text(texts.get(field), schema, nulls).alias(f"said_{field}"))
    for field in ("item_position", "quantity", "price", "line_value", "position"):
        number = numbers.get(field)
        value = F.lit(None).cast("double") if number is None else number_of(number, schema, nulls)
        columns.append(value.alias(f"read_{field}"))
        said = _text(None if number is None else number.text, schema, nulls)
        columns.append(F.when(F.col(f"read_{field}").isNull(), said).alias(f"said_{field}"))
    columns.append(event_name_of(mapping.event_names, schema, nulls).alias("event_name"))
    columns.append(event_value_of(mapping.event_names, schema, nulls).alias("said_event"))
    columns.append(not_a_number(mapping.event_names, schema, nulls).alias("event_not_a_number"))
    columns.append(moment_of(mapping.time, schema, nulls).alias("event_time"))
    columns.append(moment_text(mapping.time, schema, nulls).alias("said_event_time"))
    received = mapping.received_time
    none = F.lit(None)
    columns.append((none.cast("timestamp") if received is None else moment_of(received, schema, nulls)).alias("read_received"))
    columns.append((none.cast("string") if received is None else moment_text(received, schema, nulls)).alias("said_received"))
    broken = F.col(BROKEN_RECORD) if BROKEN_RECORD in schema.names else none.cast("string")
    columns += [broken.alias("broken"), record_hash(schema).alias("record_hash")]
    columns.append(_properties(schema, mapping).alias("properties"))
    return [*columns, *_item_columns(mapping.items, schema, nulls)]


def _derived(mapping: SourceMapping) -> dict[str, Column]:
    quantity, name = F.col("read_quantity"), F.col("event_name")
    is_refund = F.coalesce(name == "refund", F.lit(False))
    if mapping.number("quantity") is None:
        pieces = F.when(name.isin(*_PIECE_EVENTS), F.lit(1.0))
    else:
        pieces = F.when(is_refund, F.abs(quantity)).otherwise(quantity)
    line_price = F.try_divide(F.col("read_line_value"), F.coalesce(quantity, F.lit(1.0)))
    line_price = F.when(is_refund, F.abs(line_price)).otherwise(line_price)
    price = F.col("read_price") if mapping.number("line_value") is None else line_price
    return {
        "item_position": F.coalesce(F.col("read_item_position").try_cast("int"), F.lit(0)),
        # Nothing is known before it happens: a clock that runs ahead at the receiving end is set right.
        "received_time": F.greatest(F.coalesce("read_received", "event_time"), F.col("event_time")),
        "quantity": pieces,
        "price": price,
        "currency": F.upper("said_currency"),
        "item_list_id": F.col("said_item_list_id"),
        "position": F.col("read_position").try_cast("int"),
        "recommendation_id": F.col("said_recommendation_id"),
        "consent_personalisation": yes_or_no(F.col("said_consent_personalisation")),
        "consent_marketing": yes_or_no(F.col("said_consent_marketing")),
        "schema_version": F.lit(SCHEMA_VERSION),
        "source": F.lit(mapping.name),
    }


def _event_id(mapping: SourceMapping) -> Column:
    """The source's own id, else a hash: of the record's content, or of its place where equal records are events.

    By content, the same file under another name brings nothing new.
    """
    own = F.col("record_hash")
    if mapping.repeats != DUPLICATES_REPEAT:
        own = F.concat_ws("\u001f", *PLACE)
    return F.coalesce("event_id", F.md5(F.concat_ws("\u001f", F.lit(mapping.name), own)))


def _non_product(mapping: SourceMapping) -> Column:
    rules = ((mapping.product.item_id, "item_id"), (mapping.product.name, "item_name"))
    wrong = [~F.col(column).rlike(pattern) for pattern, column in rules if pattern is not None]
    return F.coalesce(*[F.when(one, F.lit(True)) for one in wrong], F.lit(False))


def _properties(schema: StructType, mapping: SourceMapping) -> Column:
    if not mapping.properties:
        return F.lit(None).cast("map<string,string>")
    pairs = [part for name in mapping.properties for part in (F.lit(name), plain_text(name, schema, mapping.null_values))]
    return F.map_filter(F.create_map(*pairs), lambda _, value: value.isNotNull())


def _text(rule: TextRule | None, schema: StructType, nulls: tuple[str, ...]) -> Column:
    return F.lit(None).cast("string") if rule is None else text_of(rule, schema, nulls)


def _item_columns(items: ItemAttributes, schema: StructType, nulls: tuple[str, ...]) -> list[Column]:
    attributes = item_attribute_columns(items, schema, nulls)
    return [column.alias(name) for name, column in zip(ITEM_COLUMNS, attributes, strict=True)]


def item_attribute_columns(items: ItemAttributes, schema: StructType, nulls: tuple[str, ...]) -> list[Column]:
    """name, category_path, brand, price, available and attributes of an item, in this order; null where unmapped."""
    price = F.lit(None).cast("double") if items.price is None else number_of(items.price, schema, nulls)
    more = F.lit(None).cast("map<string,string>")
    if items.attributes:
        pairs = [part for key, rule in items.attributes for part in (F.lit(key), text_of(rule, schema, nulls))]
        more = F.map_filter(F.create_map(*pairs), lambda _, value: value.isNotNull())
    return [
        _text(items.name, schema, nulls),
        _text(items.category_path, schema, nulls),
        _text(items.brand, schema, nulls),
        F.when(price >= 0, price),
        yes_or_no(_text(items.available, schema, nulls)),
        more,
    ]
