"""The bench of shops: the designed shops are what they are said to be, and its figures add up."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from freshet.sources.mapping import read_mapping
from tests.benchmarks.drawn_shops import one_time_buyers, sessions_only, small_43, three_hours
from tests.benchmarks.shop_sources import OWN, music_reviews, product_hits, shop_sources, timed_sessions
from tests.benchmarks.shops import TEST, VALIDATION, Pair, pairs_of, summary

pytestmark = pytest.mark.unit

SMALL: dict[Callable[..., Path], dict[str, int]] = {
    one_time_buyers: {"shoppers": 400},
    sessions_only: {"sessions": 300},
    three_hours: {"shoppers": 300},
    small_43: {},
}


def drawn(write: Callable[..., Path], folder: Path, **size: int) -> pa.Table:
    folder.mkdir(exist_ok=True)
    return pq.read_table(write(folder, **size))


def days(shop: pa.Table) -> float:
    times = pc.min_max(shop.column("second")).as_py()
    return float(times["max"] - times["min"]) / 86_400


def visits(shop: pa.Table, event: str) -> list[int]:
    """The number of each shopper's visits with such an event."""
    mine = shop.filter(pc.field("event") == event).group_by("shopper").aggregate([("session", "count_distinct")])
    return [int(each) for each in mine.column("session_count_distinct").to_pylist()]


@pytest.mark.parametrize("write", SMALL, ids=lambda write: write.__name__)
def test_a_shop_is_the_same_each_time_and_in_order_of_time(write: Callable[..., Path], tmp_path: Path) -> None:
    one, two = (drawn(write, tmp_path / name, **SMALL[write]) for name in ("one", "two"))
    assert one.equals(two)
    seconds = one.column("second").to_numpy()
    assert (seconds[1:] >= seconds[:-1]).all()
    assert pc.all(pc.equal(pc.is_valid(one.column("order")), pc.equal(one.column("event"), "purchase"))).as_py()


def test_most_one_time_buyers_buy_once_and_have_looked_before(tmp_path: Path) -> None:
    shop = drawn(one_time_buyers, tmp_path, shoppers=400)
    bought = visits(shop, "purchase")
    assert len(bought) == 400
    assert 0.8 < bought.count(1) / len(bought) < 0.95
    assert 200 < days(shop) < 241
    first = {
        event: dict(zip(*(made.column(name).to_pylist() for name in ("shopper", "second_min")), strict=True))
        for event in ("view_item", "purchase")
        for made in [shop.filter(pc.field("event") == event).group_by("shopper").aggregate([("second", "min")])]
    }
    assert all(first["view_item"][shopper] < moment for shopper, moment in first["purchase"].items())


def test_sessions_are_clicks_of_one_visit_each(tmp_path: Path) -> None:
    shop = drawn(sessions_only, tmp_path, sessions=300)
    assert shop.column("event").unique().to_pylist() == ["view_item"]
    assert visits(shop, "view_item") == [1] * 300
    assert 50 < days(shop) < 61


def test_three_hours_are_three_hours_with_repeats(tmp_path: Path) -> None:
    shop = drawn(three_hours, tmp_path, shoppers=300)
    assert 2.5 / 24 < days(shop) < 3.2 / 24
    pairs = shop.group_by(["shopper", "item"]).aggregate([])
    assert 0.05 < 1 - pairs.num_rows / shop.num_rows < 0.4


def test_43_shoppers_come_about_weekly_for_a_year_and_mostly_take_the_same(tmp_path: Path) -> None:
    shop = drawn(small_43, tmp_path)
    came = visits(shop, "purchase")
    assert len(came) == 43
    assert 40 < min(came) <= max(came) <= 52
    assert 355 < days(shop) < 365
    assert shop.group_by(["shopper", "item"]).aggregate([]).num_rows < 0.4 * shop.num_rows


def test_every_mapping_of_a_source_can_be_read(tmp_path: Path) -> None:
    sources = shop_sources()
    assert len({source.name for source in sources}) == len(sources)
    own = {path.stem: read_mapping(path).name for path in OWN.glob("*.toml")}
    assert {*own} == {*own.values()}
    # Reshaped sources are known by the name of their mapping.
    assert {source.name for source in sources} >= {*own} - {"drawn_shop", "drawn_sessions"}


def test_sessions_without_times_get_some_in_their_order() -> None:
    made = timed_sessions(pa.table({"session": [7, 8], "items": [[1, 2], [3]]}), began=0, ended=100)
    assert made.to_pylist() == [
        {"session": 7, "item": 1, "second": 0},
        {"session": 8, "item": 3, "second": 50},
        {"session": 7, "item": 2, "second": 60},
    ]


def test_reviews_count_once_and_end_with_2015() -> None:
    parts = pa.table({"userId": ["a", "a", "b"], "itemId": ["x", "x", "y"], "timestamp": [5, 5, 1_500_000_000]})
    assert music_reviews(parts).to_pylist() == [{"userId": "a", "itemId": "x", "timestamp": 5}]


def test_hits_are_flat_with_an_action_and_the_order_of_the_hit() -> None:
    product = {
        "productSKU": "p", "v2ProductName": "Pen", "v2ProductCategory": "Office", "productPrice": 2_000_000,
        "productQuantity": 1, "productListName": "Category", "productListPosition": 3, "isImpression": None,
    }  # fmt: skip
    hits = [
        {"time": 20, "transaction": {"transactionId": "o"}, "eCommerceAction": {"action_type": "6"},
         "product": [product, {**product, "isImpression": True}]},
        {"time": 10, "transaction": None, "eCommerceAction": {"action_type": "0"}, "product": None},
    ]  # fmt: skip
    visit = {"fullVisitorId": "v", "visitId": 1, "visitStartTime": 2, "hits": hits}
    rows = product_hits(pa.Table.from_pylist([visit])).to_pylist()
    assert [(row["visitor"], row["visit"], row["order"], row["action"]) for row in rows] == [
        ("v", "v-1", "o", "6"),
        ("v", "v-1", "o", "shown"),
    ]
    assert {row["millisecond"] for row in rows} == {2020}


def method(
    test: float, validation: float | None, low: float | None = -1.0, high: float | None = 1.0
) -> dict[str, object]:
    return {"test": test, "validation": validation, "difference": 0.5 - test, "low": low, "high": high}


def test_the_best_plain_method_is_that_of_the_days_that_are_asked_for() -> None:
    plain = {"b": method(0.3, 0.2), "a": method(0.3, 0.1), "c": method(0.1, 0.4)}
    task = {"served": 0.5, "shoppers": 9, "plain": plain}
    found = {"shop": {"tasks": {"next_baskets": task, "new_items": {}}}, "bare": {"tasks": {}}}
    assert [(pair.source, pair.task, pair.method, pair.plain) for pair in pairs_of(found, TEST)] == [
        ("shop", "next_baskets", "a", 0.3)
    ]
    assert [(pair.method, pair.plain, pair.difference) for pair in pairs_of(found, VALIDATION)] == [("c", 0.1, 0.4)]
    unknown = {"served": 0.5, "shoppers": 9, "plain": {"a": method(0.3, None)}}
    assert pairs_of({"shop": {"tasks": {"new_items": unknown}}}, VALIDATION) == []


def test_losses_and_wins_are_intervals_without_0_and_means_are_geometric() -> None:
    def pair(task: str, served: float, plain: float, low: float | None, high: float | None) -> Pair:
        return Pair("shop", task, 5, served, "m", plain, served - plain, low, high)

    found = summary([
        pair("next_baskets", 0.4, 0.1, 0.2, 0.4),  # a win
        pair("next_baskets", 0.1, 0.1, 0.0, 0.0),  # neither
        pair("next_baskets", 0.0, 0.1, -0.2, -0.05),  # a loss, without a ratio
        pair("new_items", 0.1, 0.2, -0.3, 0.1),
        pair("new_items", 0.2, 0.0, None, None),
    ])  # fmt: skip
    assert found == {
        "pairs": 5, "losses": 1, "wins": 1, "served over plain, next_baskets": 2.0, "served over plain, new_items": 0.5,
    }  # fmt: skip
    assert set(summary([]).values()) == {0, None}
