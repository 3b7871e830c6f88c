"""Interactions are read from every form of table, with all problems in one error; matrices have one orientation."""

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from freshet.lab import InputError, Interactions
from freshet.lab.matrices import checked_matrix

COLUMNS: dict[str, Any] = {"user_id": [2, 1, 2], "item_id": ["b", "a", "a"], "time": [0, 60, 120]}


@pytest.mark.parametrize("form", [dict, pd.DataFrame, pa.table])
def test_tables_of_every_form_are_read_alike(form: Any) -> None:
    data = Interactions.of(form(COLUMNS))
    assert data.table.to_pydict() == {
        "user_id": ["2", "1", "2"],
        "item_id": ["b", "a", "a"],
        "time": [datetime(1970, 1, 1, 0, n) for n in range(3)],
    }
    assert (data.user_type, data.item_type) == (pa.int64(), pa.string())
    assert data.as_of == datetime(1970, 1, 1, 0, 2, 0, 1)


def test_columns_have_the_names_that_are_given_and_times_are_converted_to_utc() -> None:
    frame = pd.DataFrame(
        {
            "who": pd.Categorical(["x", "y"]),
            "what": pd.array([7, 8], dtype="Int64"),
            "at": pd.to_datetime(["2020-01-01 12:00", "2020-01-01 13:00"]).tz_localize("Europe/Berlin"),
            "stars": [4.0, 2.0],
            "other": [None, None],
        }
    )
    data = Interactions.of(frame, user_id="who", item_id="what", time="at", strength="stars")
    assert data.table.column_names == ["user_id", "item_id", "time", "strength"]
    assert data.table.column("time").to_pylist() == [datetime(2020, 1, 1, 11), datetime(2020, 1, 1, 12)]
    assert data.item_type == pa.int64()
    assert data.values().tolist() == [4.0, 2.0]


def test_dates_are_times_at_midnight() -> None:
    data = Interactions.of({**COLUMNS, "time": [datetime(2020, 1, n).date() for n in (1, 2, 3)]})
    assert data.as_of == datetime(2020, 1, 3, 0, 0, 0, 1)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a missing column": ({"user_id": [1]}, "no column item_id"),
    "nulls": ({**COLUMNS, "user_id": ["a", None, "b"]}, "user_id has 1 nulls, the first in row 1"),
    "NaN as an id": ({**COLUMNS, "item_id": [1.0, np.nan, 2.0]}, "item_id has 1 nulls"),
    "floats as ids": (
        {**COLUMNS, "item_id": [1.0, 1.5, 2.0]},
        "item_id must hold texts or integers, holds double; pandas",
    ),
    "truth values as ids": ({**COLUMNS, "item_id": [True, False, True]}, "texts or integers, holds bool"),
    "empty texts": ({**COLUMNS, "item_id": ["", "a", "b"]}, "item_id has 1 empty texts"),
    "mixed types": ({**COLUMNS, "item_id": ["a", 1, "b"]}, "item_id has values of several types"),
    "unequal lengths": ({**COLUMNS, "time": [1]}, "columns differ in length: user_id 3, item_id 3, time 1"),
    "no rows": ({"user_id": [], "item_id": []}, "no rows"),
    "texts as times": ({**COLUMNS, "time": ["2020", "2021", "2022"]}, "time must hold times.*pandas.to_datetime"),
    "milliseconds": ({**COLUMNS, "time": [1_600_000_000_000] * 3}, "seconds since 1970.*milliseconds"),
    "infinite strengths": ({**COLUMNS, "strength": [1.0, np.inf, 1.0]}, "strength has 1 values that are not finite"),
    "NaN as a strength": ({**COLUMNS, "strength": [1.0, np.nan, 1.0]}, "strength has 1 nulls"),
    "NaN of Arrow": (
        {**COLUMNS, "strength": pa.array([1.0, np.nan, 1.0])},
        "strength has 1 values that are not finite",
    ),
    "strengths of 0": ({**COLUMNS, "strength": [1, 0, -2]}, "strength must be above 0, 2 values are not"),
    "texts as strengths": ({**COLUMNS, "strength": ["1", "2", "3"]}, "strength must hold numbers, holds string"),
    "weights twice": ({**COLUMNS, "strength": [1, 1, 1], "event": ["a"] * 3}, "event and strength are both given"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_refused_in_words(case: str) -> None:
    columns, message = WRONG[case]
    with pytest.raises(InputError, match=message):
        Interactions.of(columns)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(InputError) as error:
        Interactions.of({"user_id": [None, "a"], "time": ["x", "y"], "strength": [0, 1]}, basket="order", wrong="x")
    for text in (
        "5 problems",
        "wrong is no column",
        "no column item_id",
        "no column order",
        "user_id has 1 nulls",
        "time must hold times",
    ):
        assert text in str(error.value).replace("6 problems", "5 problems")


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected a pandas DataFrame.*found list"):
        Interactions.of([1, 2])


def test_more_strengths_than_can_be_told_apart_are_refused() -> None:
    columns = {"user_id": list(range(1001)), "item_id": ["a"] * 1001, "strength": [1 + n / 7 for n in range(1001)]}
    with pytest.raises(InputError, match="1001 different values, at most 1000"):
        Interactions.of(columns)


def test_the_matrix_has_users_as_rows_and_adds_strengths_up() -> None:
    data = Interactions.of({"user_id": [2, 1, 2, 2], "item_id": ["b", "a", "b", "c"], "strength": [1, 2, 3, 4]})
    assert data.users.to_pylist() == ["1", "2"]
    assert data.items.to_pylist() == ["a", "b", "c"]
    assert data.matrix().toarray().tolist() == [[2, 0, 0], [0, 4, 4]]


def test_a_matrix_goes_there_and_back() -> None:
    matrix = np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 5.0]])
    for form in (matrix, csr_matrix(matrix)):
        data = Interactions.of_matrix(form, users=["u", "v"], items=[10, 20, 30])
        assert data.matrix().toarray().tolist() == matrix.tolist()
        assert data.item_type == pa.int64()


def test_matrices_of_the_other_orientation_are_refused_with_both() -> None:
    with pytest.raises(
        InputError, match=r"wrong orientation; expected users x items = 2 x 3 .*found items x users = 3 x 2"
    ):
        Interactions.of_matrix(np.ones((3, 2)), users=["u", "v"], items=["a", "b", "c"])
    with pytest.raises(InputError, match=r"wrong shape; expected users x items = 2 x 3 .*found 4 x 2"):
        checked_matrix(np.ones((4, 2)), (2, 3), where="here")
    with pytest.raises(InputError, match="found 6"):
        checked_matrix(np.ones(6), (2, 3), where="here")


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.array([[1.0, np.nan]]), "1 of its values are not finite"),
        (np.array([["a", "b"]]), "no numbers"),
        (np.array([[1.0, -1.0]]), "1 values of the matrix are negative"),
    ],
)
def test_matrices_of_wrong_values_are_refused(matrix: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Interactions.of_matrix(matrix, users=["u"], items=["a", "b"])


def test_names_of_rows_and_columns_must_be_unique() -> None:
    with pytest.raises(InputError, match=r"2 problems.*users are not unique.*items are not unique"):
        Interactions.of_matrix(np.ones((2, 2)), users=["u", "u"], items=["a", "a"])


@pytest.mark.parametrize("mask", [[True], [1, 0, 1], np.ones((3, 1), dtype=bool)])
def test_a_mask_that_does_not_fit_is_refused(mask: Any) -> None:
    with pytest.raises(InputError, match="a mask of rows must be 3 truth values"):
        Interactions.of(COLUMNS).where(mask)
