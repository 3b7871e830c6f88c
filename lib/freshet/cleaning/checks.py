"""The checks of one record, in the order in which a refusal reason is chosen. They read the columns of `parsed`."""

from datetime import date, datetime

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from freshet.cleaning.event_names import event_value_of, not_a_number
from freshet.cleaning.problems import Check, found
from freshet.cleaning.values import text_of
from freshet.contracts.inputs import BROKEN_RECORD
from freshet.contracts.shoppers import ANONYMOUS_PREFIX
from freshet.sources.mapping import CONSENT_FIELDS
from freshet.sources.rules import Requirement, SourceMapping

ITEM_EVENTS = ("select_item", "view_item", "add_to_wishlist", "add_to_cart", "remove_from_cart", "purchase", "refund")
"""Events about an item. Where the source has items at all, such an event without an item is meaningless."""

_IDS = ("event_id", "user_id", "anonymous_id", "session_id", "item_id")
_MOST_ID_CHARACTERS = 1000
"""A longer id is a mistake, and would be copied from table to table with each of its events."""

_COUNTED_EVENTS = ("add_to_cart", "remove_from_cart", "purchase", "refund")


def record_checks(
    mapping: SourceMapping, schema: StructType, *, earliest: date, latest: datetime | Column
) -> list[Check]:
    """The checks of each record, the most serious first. Times must lie in [earliest, latest] (UTC)."""
    return [
        broken_record(),
        *_time_problems(mapping, earliest, latest),
        *_event_problems(mapping, schema),
        *_who_and_what_problems(mapping),
        *_number_problems(mapping),
        *[_requirement_problem(need) for need in mapping.require],
    ]


def broken_record() -> Check:
    """The check for records that could not be read at all."""
    broken = F.col(BROKEN_RECORD)
    return Check(broken.isNotNull(), "broken_record", None, found("the line cannot be read", broken))


def _time_problems(mapping: SourceMapping, earliest: date, latest: datetime | Column) -> list[Check]:
    said, moment = text_of(mapping.time.text), F.col("event_time")
    formats = " or ".join(mapping.time.formats)
    bound = f"after {latest:%Y-%m-%d %H:%M} UTC" if isinstance(latest, datetime) else "later than it can have arrived"
    problems = [
        Check(moment.isNull() & said.isNull(), "missing_time", "event_time", "there is no time"),
        Check(
            moment.isNull() & said.isNotNull(), "bad_time", "event_time",
            found(f"not a time written as {formats}", said),
        ),
        Check(
            moment < F.lit(earliest).cast("timestamp"), "implausible_time", "event_time",
            found(f"before {earliest}, the earliest date that is accepted", said),
        ),
        Check(
            moment > F.lit(latest), "future_time", "event_time",
            found(f"{bound}, so in the future", said),
        ),
    ]  # fmt: skip
    if mapping.received_time is not None:
        said = text_of(mapping.received_time.text)
        unread = F.col("read_received_time").isNull() & said.isNotNull()
        formats = " or ".join(mapping.received_time.formats)
        problems.append(Check(unread, "bad_time", "received_time", found(f"not a time written as {formats}", said)))
        ahead = F.col("read_received_time") > F.lit(latest)
        problems.append(Check(ahead, "future_time", "received_time", found(f"{bound}, so in the future", said)))
    return problems


def _event_problems(mapping: SourceMapping, schema: StructType) -> list[Check]:
    said = event_value_of(mapping.event_names)
    return [
        Check(
            not_a_number(mapping.event_names, schema), "bad_number", "event_name",
            F.concat(F.lit("the event depends on a number, but the value is not a number: "), said),
        ),
        Check(
            F.col("event_name").isNull(), "unknown_event", "event_name",
            F.concat(F.lit("the mapping has no event name for "), said),
        ),
    ]  # fmt: skip


def _who_and_what_problems(mapping: SourceMapping) -> list[Check]:
    user, anonymous = F.col("user_id"), F.col("anonymous_id")
    problems = [
        Check(
            user.isNull() & anonymous.isNull(), "missing_shopper", "user_id",
            "neither a customer id nor an anonymous id",
        ),
        Check(
            user.startswith(ANONYMOUS_PREFIX), "reserved_user_id", "user_id",
            found(f"customer ids must not begin with {ANONYMOUS_PREFIX}", user),
        ),
    ]  # fmt: skip
    problems += [
        Check(
            F.length(field) > _MOST_ID_CHARACTERS, "too_large", field,
            f"{field} has more than {_MOST_ID_CHARACTERS:,} characters",
        )
        for field in _IDS if mapping.text(field) is not None
    ]  # fmt: skip
    if mapping.text("item_id") is not None:
        needs_item = F.col("event_name").isin(*ITEM_EVENTS) & F.col("item_id").isNull()
        problems.insert(0, Check(needs_item, "missing_item", "item_id", "there is no item id"))
    return problems


def _number_problems(mapping: SourceMapping) -> list[Check]:
    problems = []
    for field, rule in mapping.numbers:
        said = text_of(rule.text)
        unread = F.col(f"read_{field}").isNull() & said.isNotNull()
        mark = f" with decimal mark '{rule.decimal}'" if rule.decimal != "." else ""
        problems.append(Check(unread, "bad_number", field, found(f"{field} is not a number{mark}", said)))
    for field in ("item_position", "position"):
        if mapping.number(field) is not None:
            value = F.col(f"read_{field}")
            odd = (value < 0) | (value != F.floor(value)) | (value > 2**31 - 1)
            problems.append(
                Check(odd, "bad_number", field, found(f"{field} is not a whole number from 0", value.cast("string")))
            )
    for field, text in mapping.texts:
        if field in CONSENT_FIELDS:
            said = text_of(text)
            unread = F.col(field).isNull() & said.isNotNull()
            problems.append(Check(unread, "bad_value", field, found(f"{field} is neither yes nor no", said)))
    price, quantity = F.col("price"), F.col("quantity")
    if mapping.number("quantity") is not None:
        problems += [
            Check(
                quantity < 0, "negative_quantity", "quantity",
                found("a quantity below 0 that is no refund", quantity.cast("string")),
            ),
            Check(
                (quantity == 0) & F.col("event_name").isin(*_COUNTED_EVENTS), "zero_quantity", "quantity",
                "the quantity is 0",
            ),
        ]  # fmt: skip
    if mapping.number("price") is not None or mapping.number("line_value") is not None:
        problems.append(
            Check(price < 0, "negative_price", "price", found("the price is below 0", price.cast("string")))
        )
    return problems


def _requirement_problem(need: Requirement) -> Check:
    value = F.col(need.field)
    if need.relation is None:
        return Check(value.isNull(), f"missing_{need.field}", need.field, f"the source requires {need.field}")
    limit = F.lit(need.limit)
    number = value.cast("double")
    held = {">": number > limit, ">=": number >= limit, "<": number < limit, "<=": number <= limit}[need.relation]
    code = (
        F.when(value.isNull(), F.lit(f"missing_{need.field}"))
        .when(number == 0, F.lit(f"zero_{need.field}"))
        .otherwise(F.lit(f"required_{need.field}"))
    )
    rule = f"the source requires {need.field} {need.relation} {need.limit:g}"
    message = F.concat(F.lit(f"{rule}, found "), F.coalesce(value.cast("string"), F.lit("nothing")))
    return Check(F.coalesce(~held, F.lit(True)), code, need.field, message)
