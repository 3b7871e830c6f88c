"""Numbers, ids and times against plain Python, for texts that hypothesis makes up."""

from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from freshet.cleaning.times import moment_of
from freshet.cleaning.values import id_text, number_of, plain_text, with_plain_texts
from freshet.sources.rules import NumberRule, TextRule, TimeRule
from tests.factories import local_frame
from tests.oracles_cleaning import clock_time, counted_time, identifier, number, stripped

FEW = settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
"""Each example is one Spark job over many texts."""

RULE = TextRule(columns=("said",))
TEXTS = st.lists(
    st.one_of(
        st.text(alphabet="0123456789.-+eE dfx_,\u00a0\t", max_size=8),
        st.floats(allow_nan=True).map(str),
        st.integers().map(str),
        st.integers(0, 10**9).map(lambda whole: f"{whole}.0"),
        st.sampled_from(["", " ", "NaN", "Infinity", "1d", "0x10", "1e400", "-0", ".5", "5.", "007", "12.00"]),
    ),
    min_size=40,
    max_size=80,
)


def read(spark: SparkSession, texts: list[str], what: str, rule: TimeRule | None = None) -> list[object]:
    schema = StructType.fromDDL("nth int, said string")
    frame = local_frame(spark, schema, [{"nth": n, "said": text} for n, text in enumerate(texts)])
    column = {
        "text": lambda: plain_text("said"),
        "id": lambda: id_text(RULE, schema),
        "number": lambda: number_of(NumberRule(RULE), schema),
        "time": lambda: moment_of(rule or TimeRule(RULE), schema),
    }[what]()
    rows = with_plain_texts(frame, ["said"], ()).select("nth", column.alias("value")).orderBy("nth").collect()
    return [row["value"] for row in rows]


@FEW
@given(texts=TEXTS)
def test_texts_ids_and_numbers_are_read_as_plain_python_reads_them(spark: SparkSession, texts: list[str]) -> None:
    assert read(spark, texts, "text") == [stripped(text) for text in texts]
    assert read(spark, texts, "id") == [identifier(text) for text in texts]
    assert read(spark, texts, "number") == [number(text) for text in texts]


@FEW
@given(
    parts=st.lists(
        st.tuples(
            st.integers(1990, 2030), st.integers(0, 13), st.integers(0, 32), st.integers(3, 24), st.integers(0, 60)
        ),
        min_size=40,
        max_size=60,
    )
)
def test_clock_times_are_moments_of_their_zone_and_impossible_ones_null(
    spark: SparkSession, parts: list[tuple[int, int, int, int, int]]
) -> None:
    # From 03:00 on: the hours in which London changes its clocks have no agreed answer.
    texts = [f"{month}/{day}/{year} {hour}:{minute:02}" for year, month, day, hour, minute in parts]
    rule = TimeRule(RULE, formats=("M/d/yyyy H:mm",), zone="Europe/London")
    assert read(spark, texts, "time", rule) == [clock_time(*part, "Europe/London") for part in parts]


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("unix_s", "1511658000", counted_time(1511658000, 1)),
        ("unix_ms", "1511658000123", counted_time(1511658000123, 1e-3)),
        ("unix_us", "1511658000123456", counted_time(1511658000123456, 1e-6)),
        ("unix_s", "1511658000123", None),
        ("days", "3", datetime(1970, 1, 4)),
        ("iso", "2020-02-29T12:30:00Z", datetime(2020, 2, 29, 12, 30)),
        ("iso", "2020-02-29 12:30:00+02:00", datetime(2020, 2, 29, 10, 30)),
        ("iso", "2021-02-29", None),
        ("iso", "12:30", None),
        ("iso", "2020", None),
        ("yyyy-MM-dd HH:mm:ss z", "2019-10-01 00:00:00 UTC", datetime(2019, 10, 1)),
    ],
)
def test_named_format_is_read_or_null(spark: SparkSession, form: str, text: str, expected: datetime | None) -> None:
    assert read(spark, [text], "time", TimeRule(RULE, formats=(form,))) == [expected]
