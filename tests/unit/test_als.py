"""Integer ids, and what the factor model is fitted on, by both engines."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from freshet.core.errors import DataTooSmallError, SettingsError, SetupError
from freshet.models.factors import als
from freshet.models.factors.als import Factoriser, FittedAls
from freshet.models.factors.mllib_engine import indexed
from freshet.models.factors.parameters import AlsParameters, FactorisationParameters
from tests.factories import days, local_frame

START = datetime(2020, 1, 1)
SCHEMA = "user_id string, item_id string, first_time timestamp, strength double"


def _interactions(spark: SparkSession, *rows: tuple[str, str, float, float | None]) -> DataFrame:
    """Rows (user, item, day first seen, strength)."""
    values: list[dict[str, Any]] = [
        {"user_id": user, "item_id": item, "first_time": START + days(day), "strength": strength}
        for user, item, day, strength in rows
    ]
    return local_frame(spark, SCHEMA, values)


def factoriser(engine: str = "native", *, memory_gb: float = 1.0, notify: Callable[[str], None] = print) -> Factoriser:
    return Factoriser(FactorisationParameters(engine, 3, memory_gb), 2, notify)


def _items(fitted: FittedAls) -> dict[str, tuple[int, list[float]]]:
    return {row["item_id"]: (row["item_index"], row["factors"]) for row in fitted.items.to_pylist()}


def _users(fitted: FittedAls) -> dict[str, tuple[int, list[float]]]:
    assert fitted.users is not None
    return {row["user_id"]: (row["user_index"], row["factors"]) for row in fitted.users.collect()}


def _fit(spark: SparkSession, engine: str, params: AlsParameters, *rows: tuple[str, str, float, float | None]) -> Any:
    fitted = factoriser(engine).fit(_interactions(spark, *rows), params, with_users=True)
    found = _items(fitted), _users(fitted)
    fitted.forget()
    return found


def test_ids_follow_first_appearance_so_that_later_data_only_append(spark: SparkSession) -> None:
    early = [("zoe", "b", 1, 1.0), ("ann", "a", 2, 1.0), ("bob", "a", 2, 0.0), ("zoe", "c", 3, 1.0)]
    late = [*early, ("aaa", "b", 9, 1.0), ("ann", "0", 8, 1.0)]
    frames = _interactions(spark, *early), _interactions(spark, *late)
    before, after = [
        {row["user_id"]: row["index"] for row in indexed(f, column="user_id", index="index").collect()} for f in frames
    ]
    assert before == {"zoe": 0, "ann": 1, "bob": 2}
    assert after == {**before, "aaa": 3}


@pytest.mark.parametrize("engine", ["native", "mllib"])
def test_both_engines_number_ids_by_first_appearance(spark: SparkSession, engine: str) -> None:
    rows = [("zoe", "b", 1, 1.0), ("ann", "a", 2, 1.0), ("bob", "a", 2, 1.0), ("zoe", "c", 3, 1.0)]
    items, users = _fit(spark, engine, AlsParameters(2, 1, 0.1, 1.0, 1), *rows)
    assert {user: index for user, (index, _) in users.items()} == {"zoe": 0, "ann": 1, "bob": 2}
    assert {item: index for item, (index, _) in items.items()} == {"b": 0, "a": 1, "c": 2}


@pytest.mark.parametrize("engine", ["native", "mllib"])
def test_a_rank_above_the_items_is_fitted_and_rows_without_positive_strength_count_for_nothing(
    spark: SparkSession, engine: str
) -> None:
    rows = [("u1", "a", 1, 2.0), ("u2", "b", 2, 1.0), ("u3", "c", 3, 0.0), ("u3", "d", 3, None)]
    items, users = _fit(spark, engine, AlsParameters(5, 2, 0.1, 1.0, 1), *rows)
    assert {item: index for item, (index, _) in items.items()} == {"a": 0, "b": 1}
    assert set(users) == {"u1", "u2"}
    assert all(len(factors) == 5 and np.isfinite(factors).all() for _, factors in items.values())


@pytest.mark.parametrize("engine", ["native", "mllib"])
@pytest.mark.parametrize(
    "odd", [float("nan"), float("inf"), 1e39, -1.0, None], ids=["nan", "inf", "above_float", "negative", "null"]
)
def test_strengths_that_are_no_positive_number_train_nothing(
    spark: SparkSession, engine: str, odd: float | None
) -> None:
    plain = [("u1", "a", 1, 2.0), ("u2", "b", 2, 1.0), ("u2", "a", 2, 1.0)]
    params = AlsParameters(2, 2, 0.1, 1.0, 1)
    with_odd = _fit(spark, engine, params, *plain, ("u1", "b", 0, odd))
    assert with_odd == _fit(spark, engine, params, *plain)


@pytest.mark.parametrize("engine", ["native", "mllib"])
def test_nothing_left_after_filters_is_too_little_data(spark: SparkSession, engine: str) -> None:
    frame = _interactions(spark, ("u1", "a", 1, 0.0))
    with pytest.raises(DataTooSmallError, match="positive strength"):
        factoriser(engine).fit(frame, AlsParameters(2, 1, 0.1, 1.0, 1), with_users=False)


def test_ids_above_32_bits_and_huge_strengths_are_fitted(spark: SparkSession) -> None:
    rows = [(str(2**31 + n), str(2**63 + n % 3), float(n), 3e9) for n in range(6)]
    items, users = _fit(spark, "native", AlsParameters(2, 3, 0.1, 1.0, 1), *rows)
    assert set(items) == {str(2**63 + n) for n in range(3)}
    assert all(np.isfinite(factors).all() for _, factors in [*items.values(), *users.values()])


def test_item_vectors_are_the_same_in_one_result_or_in_several(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    rows = [(f"u{n % 9}", f"i{rng.integers(0, 30)}", float(n), 1.0) for n in range(100)]
    params = AlsParameters(4, 2, 0.1, 2.0, 7)
    unique = list({(user, item): (user, item, day, strength) for user, item, day, strength in rows}.values())
    whole = factoriser().fit(_interactions(spark, *unique), params, with_users=False).items
    monkeypatch.setattr(als, "_RESULT_BYTES", 100)
    numbers: list[int] = []
    repartition = type(spark.range(1)).repartition

    def counted(frame: DataFrame, number: int) -> DataFrame:
        numbers.append(number)
        return repartition(frame, number)

    monkeypatch.setattr(type(spark.range(1)), "repartition", counted)
    parts = factoriser().fit(_interactions(spark, *unique), params, with_users=False).items
    assert numbers == [1, -(-len(whole) * 4 * 4 // 100)]
    assert parts.column("item_index").to_pylist() == list(range(len(whole)))
    assert parts.equals(whole)


def test_a_native_training_without_room_is_refused_before_it_starts(spark: SparkSession) -> None:
    frame = _interactions(spark, ("u1", "a", 1, 1.0))
    with pytest.raises(SetupError, match=r"factorisation.memory_gb.*at most 1e-09 GB.*1 interactions"):
        factoriser(memory_gb=1e-9).fit(frame, AlsParameters(2, 1, 0.1, 1.0, 1), with_users=False)


def test_auto_trains_by_mllib_where_there_is_no_room_and_says_so(spark: SparkSession) -> None:
    frame, messages = _interactions(spark, ("u1", "a", 1, 1.0), ("u2", "b", 1, 1.0)), list[str]()
    fitted = factoriser("auto", memory_gb=1e-9, notify=messages.append).fit(
        frame, AlsParameters(2, 1, 0.1, 1.0, 1), with_users=False
    )
    assert fitted.engine == "mllib"
    assert set(_items(fitted)) == {"a", "b"}
    assert len(messages) == 1
    assert "MLlib" in messages[0]


def test_mllib_refuses_another_power_of_the_regularisation_and_another_start(spark: SparkSession) -> None:
    frame = _interactions(spark, ("u1", "a", 1, 1.0))
    with pytest.raises(SettingsError, match=r"reg_power.*expected 1\.0.*found 0\.5"):
        factoriser("mllib").fit(frame, AlsParameters(2, 1, 0.1, 1.0, 1, 0.5), with_users=False)
    with pytest.raises(SettingsError, match=r"start.*length 1.*found 0\.5"):
        factoriser("mllib").fit(frame, AlsParameters(2, 1, 0.1, 1.0, 1, start=0.5), with_users=False)


def test_shoppers_are_left_out_where_nobody_asks_for_them(spark: SparkSession) -> None:
    frame = _interactions(spark, ("u1", "a", 1, 1.0))
    fitted = factoriser().fit(frame, AlsParameters(2, 1, 0.1, 1.0, 1), with_users=False)
    assert (fitted.engine, fitted.users) == ("native", None)


@pytest.mark.parametrize("wrong", [(0, 1, 0.1, 1.0), (1, 0, 0.1, 1.0), (1, 1, -0.1, 1.0), (1, 1, 0.1, -1.0)])
def test_impossible_parameters_are_refused(wrong: tuple[int, int, float, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        AlsParameters(*wrong, seed=1)


@pytest.mark.parametrize("start", [0.0, -1.0, float("nan"), 101.0])
def test_impossible_starts_are_refused(start: float) -> None:
    with pytest.raises(ValueError, match="start must be"):
        AlsParameters(1, 1, 0.1, 1.0, seed=1, start=start)


@pytest.mark.parametrize("wrong", [("spark", 3, 1.0), ("auto", 0, 1.0), ("auto", 3, 0.0)])
def test_impossible_engines_are_refused(wrong: tuple[str, int, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        FactorisationParameters(*wrong)
