"""The shops that the bench of shops runs: real data sets as they are, some reshaped, and designed ones.

A set of events of shoppers and items over time is a shop; these sets are none:

- ga4_attribution_journeys: paths of marketing channels, without shoppers and items;
- gowalla_lightgcn and amazon_s3rec: items of each shopper without any time, so that there is no day to cut at;
- epinions of topn_quest_5fold: its times are the numbers 1 to 11; movielens_1m there is ml_1m with fewer columns;
- mercari_100k: listings without buyers and dates; m5_subset: sales without shoppers;
- open_bandit_small: impressions without an id of whoever saw them.

All sets at hand have at most 1.1 million events, so none is cut.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.benchmarks import drawn_shops
from tests.benchmarks.main_job import DATA as BUNDLED
from tests.benchmarks.main_job import SOURCE as BUNDLED_MAPPING
from tests.benchmarks.tables.spark_side import DATA

SHIPPED = BUNDLED_MAPPING.parent
OWN = Path(__file__).parent / "sources"

SESSIONS_BEGAN, SESSIONS_ENDED = 1_451_606_400, 1_464_134_400
"""2016-01-01 and 2016-05-25, between which the sessions of Diginetica were; the day of each is not given."""

MUSIC_ENDS = 1_451_606_400
"""2016-01-01. Of the years after it, fewer and fewer reviews are in the set: in its last 30 days seven."""


class ShopSource(NamedTuple):
    """A shop: what it is, the files that it is made of, and what gives the paths of mapping and data.

    `make` may write to a folder, which is removed after the run.
    """

    name: str
    description: str
    needs: tuple[Path, ...]
    make: Callable[[Path], tuple[Path, Path]]

    @property
    def absent(self) -> list[Path]:
        """Those of its files that are not there."""
        return [path for path in self.needs if not path.is_file()]


def _raw(name: str, description: str, file: str, mappings: Path, folder: str = "") -> ShopSource:
    """A data set as it is."""
    data = DATA / (folder or name) / file
    return ShopSource(name, description, (data,), lambda scratch: (mappings / f"{name}.toml", data))


def _reshaped(name: str, description: str, file: str, reshape: Callable[[pa.Table], pa.Table]) -> ShopSource:
    """A data set that a mapping cannot read as it is."""
    data = DATA / file

    def make(scratch: Path) -> tuple[Path, Path]:
        pq.write_table(reshape(pq.read_table(data)), scratch / "shop.parquet")
        return OWN / f"{name}.toml", scratch / "shop.parquet"

    return ShopSource(name, description, (data,), make)


def _drawn(write: Callable[..., Path], description: str, mapping: str = "drawn_shop") -> ShopSource:
    def make(scratch: Path) -> tuple[Path, Path]:
        return OWN / f"{mapping}.toml", write(scratch)

    return ShopSource(write.__name__, description, (), make)


def music_reviews(folds: pa.Table) -> pa.Table:
    """(userId, itemId, timestamp): the pairs of all test parts, which overlap, up to the end of 2015."""
    pairs = folds.group_by(["userId", "itemId"]).aggregate([("timestamp", "min")])
    pairs = pairs.rename_columns({"timestamp_min": "timestamp"}).filter(pc.field("timestamp") < MUSIC_ENDS)
    return pairs.sort_by([("timestamp", "ascending"), ("userId", "ascending"), ("itemId", "ascending")])


def timed_sessions(sessions: pa.Table, *, began: int = SESSIONS_BEGAN, ended: int = SESSIONS_ENDED) -> pa.Table:
    """(session, item, second): a row per view. The sessions start in the order of the file, evenly over the time.

    The views of a session follow at one a minute.
    """
    items = sessions.column("items").combine_chunks()
    row = pc.list_parent_indices(items).to_numpy()
    lengths = pc.list_value_length(items).to_numpy()
    place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    start = began + row.astype(np.int64) * (ended - began) // max(1, len(sessions))
    number = sessions.column("session").combine_chunks().take(pa.array(row))
    table = pa.table({"session": number, "item": pc.list_flatten(items), "second": start + 60 * place})
    return table.sort_by([("second", "ascending"), ("session", "ascending")])


def product_hits(sessions: pa.Table) -> pa.Table:
    """(visitor, visit, order, action, ...): a row per hit and product of an export of Google Analytics 360.

    `action` is the number of the product action, or shown for the impression of a list.
    """
    rows: list[dict[str, Any]] = []
    for session in sessions.select(["fullVisitorId", "visitId", "visitStartTime", "hits"]).to_pylist():
        who = session["fullVisitorId"]
        visit = {"visitor": who, "visit": f"{who}-{session['visitId']}"}
        for hit in session["hits"]:
            moment = 1000 * session["visitStartTime"] + hit["time"]
            order = (hit["transaction"] or {}).get("transactionId")
            for product in hit["product"] or ():
                action = "shown" if product["isImpression"] else hit["eCommerceAction"]["action_type"]
                rows.append({**visit, "order": order, "action": action, "millisecond": moment, **_product(product)})
    return pa.Table.from_pylist(rows).sort_by("millisecond")


def _product(product: dict[str, Any]) -> dict[str, Any]:
    return {
        "sku": product["productSKU"], "name": product["v2ProductName"], "category": product["v2ProductCategory"],
        "price": product["productPrice"], "quantity": product["productQuantity"],
        "list": product["productListName"], "position": product["productListPosition"],
    }  # fmt: skip


def shop_sources() -> list[ShopSource]:
    """All sources: the bundled shop, other real data, designed shops."""
    shipped, own = partial(_raw, mappings=SHIPPED), partial(_raw, mappings=OWN)
    bundled = (BUNDLED_MAPPING, BUNDLED)
    return [
        ShopSource("online_retail_ii", "orders of two years of a gift shop", (BUNDLED,), lambda scratch: bundled),
        shipped("ml_1m", "ratings of films", "ratings.parquet"),
        own("ml_100k", "ratings of films, seven months", "u.data.parquet"),
        _reshaped(
            "amazon_music", "reviews of music to the end of 2015: two thirds of them",
            "topn_quest_5fold/amazon_music.parquet", music_reviews,
        ),
        shipped("tmall_2014", "four months of clicks and purchases of brands", "t_alibaba_data.parquet"),
        shipped("taobao_userbehavior_2h", "two hours of clicks, carts and purchases", "UserBehavior.parquet"),
        own("diginetica_purchases", "orders of half a year", "train-purchases.parquet", folder="diginetica"),
        _reshaped(
            "ga360_merchandise_store_1day", "a day of visits with nested hits",
            "ga360_merchandise_store_1day/ga_sessions_20170801.parquet", product_hits,
        ),
        shipped("eshop_clothing_2008", "anonymous sessions of clicks", "e-shop_clothing_2008.parquet"),
        _reshaped(
            "diginetica_sessions", "anonymous sessions of clicks in order, with times that are made up",
            "diginetica/all_train_seq.parquet", timed_sessions,
        ),
        shipped("cdnow", "orders without items", "CDNOW_master.parquet"),
        _drawn(drawn_shops.one_time_buyers, "designed: most shoppers buy once"),
        _drawn(drawn_shops.sessions_only, "designed: sessions of clicks, no shoppers", mapping="drawn_sessions"),
        _drawn(drawn_shops.three_hours, "designed: three hours of clicks"),
        _drawn(drawn_shops.small_43, "designed: weekly baskets of 43 shoppers"),
    ]  # fmt: skip
