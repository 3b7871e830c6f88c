"""The shops that scaling is measured on: sizes as asked for, a long tail, the same ones each time."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.benchmarks.scale import exponents
from tests.benchmarks.scale_shops import long_tail_shop, tiled

pytestmark = pytest.mark.unit


def test_a_drawn_shop_has_the_size_asked_for_and_a_long_tail_and_is_the_same_each_time(tmp_path: Path) -> None:
    tables = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert long_tail_shop(tmp_path / name, shoppers=300, items=1000, interactions=3400).is_file()
        tables.append(pq.read_table(tmp_path / name / "shop.parquet"))
    assert tables[0].equals(tables[1])
    assert tables[0].num_rows == 3400
    counts = np.sort([each["counts"].as_py() for each in tables[0].column("item_id").value_counts()])
    assert len(counts) == 1000
    assert np.median(counts) <= 3 < counts[-1] / 4
    days = tables[0].column("second").to_numpy() // 86_400
    assert days.max() - days.min() > 300
    assert len(tables[0].column("user_id").unique()) > 200


def test_a_tiled_shop_has_shoppers_and_orders_of_its_own_each_time(tmp_path: Path) -> None:
    shop = pa.table({"customer": [7.0, 8.0, None], "order": ["x", "Cy", "z"], "item": ["a", "b", "c"]})
    pq.write_table(shop, tmp_path / "shop.parquet")
    rows = tiled(tmp_path / "shop.parquet", tmp_path / "large.parquet", columns=("customer", "order"), times=3)
    large = pq.read_table(tmp_path / "large.parquet")
    assert large.num_rows == rows == 9
    assert large.column("item").to_pylist() == ["a", "b", "c"] * 3
    assert large.column("customer").to_pylist() == ["7", "8", None, "7-1", "8-1", None, "7-2", "8-2", None]
    assert large.column("order").to_pylist() == ["x", "Cy", "z", "x-1", "Cy-1", "z-1", "x-2", "Cy-2", "z-2"]


def test_exponents_are_those_of_powers_and_of_steps_that_take_a_second() -> None:
    smaller, larger = {"a s": 2.0, "b s": 3.0, "c s": 0.5, "peak GB": 1.0}, {"a s": 8.0, "b s": 48.0, "c s": 9.0}
    assert dict(exponents((10, smaller), (40, larger))) == {"a": 1.0, "b": 2.0}
