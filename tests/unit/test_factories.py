"""The row factory: what it makes keeps every contract."""

import pytest
from pyspark.sql import SparkSession

from freshet.contracts import ALL_TABLES, EVALUATION_RESULTS, EVENTS, STREAM_METRICS, TableContract
from freshet.contracts.row_rules import spark_problems
from tests.factories import event, frame, moment


def test_every_contract_can_be_filled(spark: SparkSession) -> None:
    for contract in ALL_TABLES:
        contract.conform(frame(spark, contract, [{}, {}, {}]))


@pytest.mark.parametrize("contract", [EVENTS, EVALUATION_RESULTS, STREAM_METRICS], ids=lambda contract: contract.name)
def test_filled_rows_keep_every_rule(spark: SparkSession, contract: TableContract) -> None:
    assert spark_problems(frame(spark, contract, [{}, {}, {}]), contract) == []


def test_overrides_stay_and_unknown_columns_are_refused(spark: SparkSession) -> None:
    made = frame(spark, EVENTS, [event(at="2020-01-31 12:00", order="o1", properties={"a": "b"})]).first()
    assert made is not None
    assert (made.event_time, made.received_time) == (moment("2020-01-31 12:00"),) * 2
    assert (made.transaction_id, made.properties, made.event_name) == ("o1", {"a": "b"}, "purchase")
    with pytest.raises(KeyError, match="colour"):
        frame(spark, EVENTS, [{"colour": "red"}])
