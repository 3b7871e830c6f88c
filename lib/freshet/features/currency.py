"""Prices in the one currency of the home, so that sums of them mean something."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.core.errors import StateError
from freshet.core.parameters import parameters


@parameters
class MoneyParameters:
    """The currency of a home."""

    currency_rates: dict[Annotated[str, Field(pattern="^[A-Z]{3}$")], Annotated[float, Field(gt=0)]] = Field(
        description="units of the home's currency per unit of another one, by its ISO 4217 code"
    )


def in_one_currency(events: DataFrame, params: MoneyParameters) -> DataFrame:
    """`events` (EVENTS) with `price` multiplied by the rate of its currency into the home's; 1 without a rate."""
    if not params.currency_rates:
        return events
    rates = F.create_map(*[F.lit(part) for pair in params.currency_rates.items() for part in pair])
    rate = F.when(F.col("currency").isNotNull(), F.try_element_at(rates, F.col("currency")))
    return events.withColumn("price", F.col("price") * F.coalesce(rate, F.lit(1.0)))


def check_currencies(events: Mapping[str | None, int], params: MoneyParameters, *, where: str) -> None:
    """Raises StateError if priced events, counted by currency, are in several currencies that have no rate.

    One currency may have no rate: it is the home's own, which also applies to events without a currency.
    """
    unrated = {code: count for code, count in events.items() if code and code not in params.currency_rates}
    if len(unrated) < 2:
        return
    in_order = sorted(unrated, key=lambda code: (-unrated[code], code))
    own, other = in_order[0], in_order[1]
    raise StateError(
        "prices are in several currencies, which cannot be added up", where=where,
        expected="one currency, and a rate for each other one",
        found=", ".join(f"{code} ({unrated[code]:,} events)" for code in in_order),
        do=f"Say what each other one is worth, as in --set 'money.currency_rates={{{other}=1.1}}' (units of {own} per "
        f"{other}), or ingest the events of each currency into a separate home",
    )  # fmt: skip
