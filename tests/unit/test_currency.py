"""Prices of several currencies: converted by rates, or refused in one line."""

import pytest
from pyspark.sql import SparkSession

from freshet.core.errors import SettingsError, StateError
from freshet.features.currency import MoneyParameters, check_currencies, in_one_currency
from freshet.features.users import user_features
from freshet.runs.settings import load_settings
from tests.factories import event, events_frame, moment

RATES = MoneyParameters({"EUR": 0.8, "USD": 0.5})


def test_money_is_added_up_in_the_currency_of_the_home(spark: SparkSession) -> None:
    bought = [("GBP", 10.0), ("EUR", 10.0), ("USD", 4.0), (None, 1.0), ("GBP", None)]
    rows = [event(item=f"i{n}", price=price, currency=code, order=f"o{n}") for n, (code, price) in enumerate(bought)]
    rows.append(event("refund", item="i1", price=5.0, currency="EUR", order="o1"))
    events = in_one_currency(events_frame(spark, rows), RATES)
    (row,) = user_features(events, as_of=moment("2020-02-01")).collect()
    # 10 + 8 + 2 + 1 - 4: without a rate it would be 25 less 5.
    assert row["monetary"] == pytest.approx(17.0)
    plain = events_frame(spark, rows)
    assert in_one_currency(plain, MoneyParameters({})) is plain


@pytest.mark.parametrize(
    ("counts", "rates"),
    [
        ({}, {}),
        ({None: 5}, {}),
        ({"GBP": 5, None: 3}, {}),
        ({"GBP": 5, "EUR": 3}, {"EUR": 0.8}),
        ({"EUR": 3, "USD": 1}, {"EUR": 0.8, "USD": 0.5}),
    ],
)
def test_one_currency_without_a_rate_is_that_of_the_home(
    counts: dict[str | None, int], rates: dict[str, float]
) -> None:
    check_currencies(counts, MoneyParameters(rates), where="home")


def test_several_currencies_are_refused_in_one_line_with_both_remedies() -> None:
    counts = {"EUR": 1_200, "GBP": 30_000, "USD": 7, None: 9}
    with pytest.raises(StateError) as caught:
        check_currencies(counts, MoneyParameters({"USD": 0.8}), where="/home")
    assert caught.value.line() == (
        "/home: prices are in several currencies, which cannot be added up; expected one currency, and a rate for each "
        "other one; found GBP (30,000 events), EUR (1,200 events). Say what each other one is worth, as in --set "
        "'money.currency_rates={EUR=1.1}' (units of GBP per EUR), or ingest the events of each currency into a "
        "separate home"
    )


def test_the_setting_is_read_as_the_message_says_and_checked() -> None:
    assert load_settings("test", ("money.currency_rates={EUR=1.1}",)).money == MoneyParameters({"EUR": 1.1})
    for wrong in ("{EUR=0}", "{eur=1.1}", "{EUR=-1.0}"):
        with pytest.raises(SettingsError, match="currency_rates"):
            load_settings("test", (f"money.currency_rates={wrong}",))
