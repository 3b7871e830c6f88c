"""Shoppers of whom nothing is known but an attribute: what lists by attribute are worth, measured by hiding a tenth of
the shoppers of real shops."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import functions as F

from freshet.evaluation.bootstrap import user_hash
from freshet.evaluation.ranking import paired_difference, per_user
from freshet.ranking.popular_items import attribute_scopes, popular_by_attribute
from freshet.runs.settings import load_settings
from tests.benchmarks.main_job import DATA as BUNDLED
from tests.benchmarks.tables.spark_side import DATA, bench_session

HIDDEN, K = 0.1, 20
AS_OF = datetime(2020, 1, 1)
OVERALL = "overall"
PRIORS = (0.0, 10.0, 50.0, 200.0)


def cold_shoppers(quick: bool, seed: int = 1) -> dict[str, Any]:
    """NDCG@20 of all that a hidden shopper took first, by popular items over all and by popular items of the shopper's
    attribute with priors of 0, 10, 50 and 200 shoppers; the difference of the served prior with its interval.

    The settings are those of conf/base.toml; taken items of all times count, as attributes are what differs here.
    """
    spark = bench_session()
    lists = load_settings().lists
    found: dict[str, Any] = {}
    for name, read in list(_SOURCES.items())[:1] if quick else _SOURCES.items():
        taken = read()
        rng = np.random.default_rng(seed)
        shoppers = np.unique(taken.column("user_id").to_numpy(zero_copy_only=False).astype(str))
        hidden = pa.array(rng.choice(shoppers, max(1, int(HIDDEN * len(shoppers))), replace=False))
        is_hidden = pc.is_in(taken.column("user_id"), value_set=hidden)
        known, others = taken.filter(pc.invert(is_hidden)), taken.filter(is_hidden)
        people = others.group_by("user_id").aggregate([("item_id", "distinct"), ("value", "min")])
        judged = spark.createDataFrame(people.select(["user_id", "item_id_distinct"]))
        truth = judged.select("user_id", user_hash(seed).alias("user_hash"), F.col("item_id_distinct").alias("items"))
        popular = _lists(spark, known, lists)
        made = pa.concat_tables([_served(people, of_model, model) for model, of_model in popular.items()])
        metrics = per_user(made, truth.toArrow(), ks=[K], by=("model",))
        means = metrics.group_by("model").aggregate([("ndcg", "mean"), ("ndcg", "count")]).to_pylist()
        found |= {f"{name} {row['model']}": round(row["ndcg_mean"], 4) for row in means}
        found[f"{name} shoppers"] = means[0]["ndcg_count"]
        served = f"prior {lists.popular_prior_shoppers:g}"
        own = metrics.filter(pc.field("model") == served).drop_columns("model")
        against = metrics.filter(pc.field("model") == OVERALL)
        row = paired_difference(own, against, metric="ndcg", k=K, samples=1000, by=("model",))[0]
        found[f"{name} gain"] = [round(row[key], 4) for key in ("value", "low", "high")]
    return found


def _lists(spark: Any, known: pa.Table, lists: Any) -> dict[str, dict[str, list[str]]]:
    """By model the items of each value; over all under the value None."""
    frame = spark.createDataFrame(known)
    values = frame.groupBy("user_id").agg(F.min("value").alias("value"))
    attributes = values.select("user_id", F.create_map(F.lit("a"), F.col("value")).alias("attributes"))
    scopes = attribute_scopes(attributes, most_values=lists.popular_values)
    newest = F.lit(AS_OF).cast("timestamp").alias("newest")
    pairs = frame.select("user_id", "item_id", newest).distinct().join(scopes, "user_id", how="left").persist()
    every = pairs.withColumn("scopes", F.array(F.lit(OVERALL)))
    found = {OVERALL: {OVERALL: _items(every, 0.0)[OVERALL]}}
    for prior in PRIORS:
        found[f"prior {prior:g}"] = {**_items(pairs, prior), OVERALL: found[OVERALL][OVERALL]}
    pairs.unpersist()
    return found


def _items(pairs: Any, prior: float) -> dict[str, list[str]]:
    rows = popular_by_attribute(pairs, as_of=AS_OF, length=K, prior_shoppers=prior).where("window = 'all'")
    found: dict[str, list[str]] = {}
    for row in sorted(rows.collect(), key=lambda row: row["position"]):
        found.setdefault(row["scope"], []).append(row["item_id"])
    return found


def _served(people: pa.Table, lists: dict[str, list[str]], model: str) -> pa.Table:
    items = [lists.get(f"a={value}", lists[OVERALL]) for value in people.column("value_min").to_pylist()]
    return pa.table({
        "model": pa.repeat(model, people.num_rows), "user_id": people.column("user_id"),
        "items": pa.array(items, pa.list_(pa.string())),
    })  # fmt: skip


def _taken(user: pa.ChunkedArray, item: pa.ChunkedArray, value: pa.ChunkedArray) -> pa.Table:
    table = pa.table({
        "user_id": user.cast(pa.string()), "item_id": item.cast(pa.string()), "value": value.cast(pa.string()),
    }).combine_chunks()  # fmt: skip
    return table.drop_null()


def _bundled() -> pa.Table:
    """The first order of each customer, by country."""
    rows = pq.read_table(BUNDLED)
    rows = rows.filter(pc.and_(pc.is_valid(rows["Customer ID"]), pc.greater(rows["Quantity"], 0)))
    first = rows.sort_by([("InvoiceDate", "ascending"), ("Invoice", "ascending")]).group_by(
        "Customer ID", use_threads=False
    ).aggregate([("Invoice", "first")])  # fmt: skip
    orders = rows.filter(pc.is_in(rows["Invoice"], value_set=first["Invoice_first"].combine_chunks()))
    return _taken(orders["Customer ID"], pc.utf8_upper(orders["StockCode"]), orders["Country"])


def _viewers(attribute: str) -> Callable[[], pa.Table]:
    def read() -> pa.Table:
        rows, people = (pq.read_table(DATA / "ml_1m" / f"{name}.parquet") for name in ("ratings", "users"))
        joined = rows.join(people.select(["UserID", attribute]), "UserID")
        return _taken(joined["UserID"], joined["MovieID"], joined[attribute])

    return read


def _clothes() -> pa.Table:
    rows = pq.read_table(DATA / "eshop_clothing_2008" / "e-shop_clothing_2008.parquet")
    return _taken(rows["session ID"], rows["page 2 (clothing model)"], rows["country"])


def _visitors(of: Callable[[dict[str, Any]], str]) -> Callable[[], pa.Table]:
    def read() -> pa.Table:
        names = ["fullVisitorId", "channelGrouping", "geoNetwork", "hits"]
        path = DATA / "ga360_merchandise_store_1day" / "ga_sessions_20170801.parquet"
        found = [
            (visit["fullVisitorId"], product["productSKU"], of(visit))
            for visit in pq.read_table(path, columns=names).to_pylist()
            for hit in visit["hits"] for product in hit["product"] or () if not product["isImpression"]
        ]  # fmt: skip
        first = {user: value for user, _, value in reversed(found)}
        columns: list[NDArray[Any]] = [np.array(column) for column in zip(*found, strict=True)]
        users = [first[user] for user, _, _ in found]
        return _taken(*(pa.chunked_array([pa.array(each)]) for each in (columns[0], columns[1], users)))

    return read


_SOURCES: dict[str, Callable[[], pa.Table]] = {
    "online_retail_ii country": _bundled,
    "ml_1m gender": _viewers("Gender"),
    "ml_1m age": _viewers("Age"),
    "ml_1m occupation": _viewers("Occupation"),
    "eshop_clothing_2008 country": _clothes,
    "ga360 country": _visitors(lambda visit: visit["geoNetwork"]["country"]),
    "ga360 channel": _visitors(lambda visit: visit["channelGrouping"]),
}
