"""Items that nobody has had yet: what their content is worth, measured by hiding a tenth of the items of real shops."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.models.factors.factorisation import factorised
from freshet.models.factors.parameters import AlsParameters
from freshet.models.items.item_model import FittedWeights
from freshet.models.items.neighbours import NeighbourParameters, similar_items_matrix
from freshet.ranking.content.links import content_links, widened_weights
from freshet.rules.compiled import CATALOGUE
from tests.benchmarks.main_job import DATA as BUNDLED
from tests.benchmarks.tables.spark_side import DATA
from tests.benchmarks.tasks import cores

HIDDEN, JUDGED, K = 0.1, 2_000, 20
_ALS = AlsParameters(64, 6, 0.1, 10.0, 7)
_NEIGHBOURS = NeighbourParameters(50, 1.4, 10.0)


class Taken(NamedTuple):
    """Who took what, a code per shopper and item, and the content of each item by its code."""

    shopper: NDArray[np.int64]
    item: NDArray[np.int64]
    contents: list[dict[str, Any]]


def cold_items(quick: bool, seed: int = 1) -> dict[str, Any]:
    """NDCG@20 of lists of hidden items alone, for shoppers who took some, by what is predicted for an item.

    category: the mean vector of known items of the category (of category and brand), as before there were content
    links; content: vector and neighbour weights taken over from the most similar items, standardised and added up;
    over_category: content / category, and its geometric mean over the sources that have categories.
    """
    found: dict[str, Any] = {}
    ratios = []
    for name, read in list(_SOURCES.items())[:1] if quick else _SOURCES.items():
        by_category, by_content, shoppers = _judged(read(), seed)
        found[f"category_{name}"], found[f"content_{name}"] = round(by_category, 4), round(by_content, 4)
        found[f"over_category_{name}"] = round(by_content / by_category, 2)
        found[f"shoppers_{name}"] = shoppers
        ratios.append(by_content / by_category)
    found["over_category"] = round(float(np.exp(np.mean(np.log(ratios)))), 2)
    return found


def _judged(taken: Taken, seed: int) -> tuple[float, float, int]:
    rng, count = np.random.default_rng(seed), len(taken.contents)
    hidden = np.sort(rng.choice(count, max(20, int(HIDDEN * count)), replace=False))
    known = np.setdiff1d(np.arange(count), hidden)
    every = csr_matrix(
        (np.ones(len(taken.item), np.float32), (taken.shopper, taken.item)), shape=(taken.shopper.max() + 1, count)
    )
    every.data = 1 + np.log(every.data)
    train, truth = csr_matrix(every[:, known]), csr_matrix(every[:, hidden])
    train.sort_indices()
    judged = rng.permutation(np.flatnonzero((np.diff(train.indptr) > 0) & (np.diff(truth.indptr) > 0)))[:JUDGED]
    factors = factorised(train, _ALS, cg_steps=3, threads=cores())
    contents = pa.Table.from_pylist([{"item_id": f"{n}", **one} for n, one in enumerate(taken.contents)], CATALOGUE)
    ids = contents.column("item_id").combine_chunks()
    links = content_links(ids.take(pa.array(hidden)), contents, ids.take(pa.array(known)))
    weights = widened_weights(
        FittedWeights(csr_matrix(similar_items_matrix(train, _NEIGHBOURS).T)), links, is_similar_items=True
    )
    by_factors = factors.users[judged] @ (links.shares @ factors.items).T
    by_neighbours = (train[judged] @ weights[: len(known), len(known) :]).toarray()
    means = _category_means(taken.contents, known, hidden, factors.items)
    by_content = _ndcg(_standardised(by_factors) + _standardised(by_neighbours), truth[judged])
    return _ndcg(factors.users[judged] @ means.T, truth[judged]), by_content, len(judged)


def _category_means(
    contents: list[dict[str, Any]], known: NDArray[np.int64], hidden: NDArray[np.int64], vectors: NDArray[np.float32]
) -> NDArray[np.float32]:
    found = np.zeros((len(hidden), vectors.shape[1]), dtype=np.float32)
    for columns in (("category_path",), ("category_path", "brand")):
        groups: dict[tuple[Any, ...], list[int]] = {}
        for place, item in enumerate(known):
            groups.setdefault(tuple(contents[item].get(name) for name in columns), []).append(place)
        for place, item in enumerate(hidden):
            key = tuple(contents[item].get(name) for name in columns)
            if None not in key and key in groups:
                found[place] = vectors[groups[key]].mean(axis=0)
    return found


def _standardised(scores: NDArray[np.floating]) -> NDArray[np.floating]:
    return (scores - scores.mean(axis=1, keepdims=True)) / (scores.std(axis=1, keepdims=True) + 1e-9)


def _ndcg(scores: NDArray[np.floating], truth: csr_matrix) -> float:
    gains = 1 / np.log2(np.arange(2, K + 2))
    found = []
    for row, own in enumerate(scores):
        true = truth.indices[truth.indptr[row] : truth.indptr[row + 1]]
        hits = np.isin(np.argsort(-own, kind="stable")[:K], true)
        found.append((hits * gains[: len(hits)]).sum() / gains[: len(true)].sum())
    return float(np.mean(found))


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    coded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    return coded.indices.to_numpy(zero_copy_only=False).astype(np.int64), coded.dictionary.to_pylist()


def _bundled() -> Taken:
    """Names only; sales to customers."""
    rows = pq.read_table(BUNDLED)
    rows = rows.filter(pc.and_(pc.is_valid(rows["Customer ID"]), pc.greater(rows["Quantity"], 0)))
    item, ids = _codes(pc.utf8_upper(rows["StockCode"]))
    names = dict(zip(item.tolist(), rows["Description"].to_pylist(), strict=True))
    return Taken(_codes(rows["Customer ID"])[0], item, [{"name": names[n]} for n in range(len(ids))])


def _movies() -> Taken:
    """Titles with their years, genres; the first genre is the category."""
    rows, movies = (pq.read_table(DATA / "ml_1m" / name) for name in ("ratings.parquet", "movies.parquet"))
    item, ids = _codes(rows["MovieID"])
    known = {str(row["MovieID"]): row for row in movies.to_pylist()}
    contents = []
    for movie in ids:
        genres = known[movie]["Genres"].split("|")
        attributes = [("genre " + genre, "yes") for genre in genres] + [("decade", known[movie]["Title"][-5:-2])]
        contents.append({"name": known[movie]["Title"], "category_path": genres[0], "attributes": attributes})
    return Taken(_codes(rows["UserID"])[0], item, contents)


def _reviews(name: str) -> Taken:
    """Numbered attributes; the first one is the category."""
    rows = pq.read_table(DATA / "amazon_s3rec" / f"{name}.parquet")
    lists = rows["items"].combine_chunks()
    item, ids = _codes(pa.chunked_array([lists.flatten()]))
    of_items = pq.read_table(DATA / "amazon_s3rec" / f"{name}_item2attributes.parquet")
    known = {str(row["item"]): row["attributes"] for row in of_items.to_pylist()}
    contents = [
        {"category_path": f"{known[n][0]}", "attributes": [(f"attribute {a}", "yes") for a in known[n]]}
        if known.get(n) else {} for n in ids
    ]  # fmt: skip
    return Taken(np.repeat(np.arange(len(lists)), pc.list_value_length(lists).to_numpy()), item, contents)


def _clothes() -> Taken:
    """Categories, colours, photos and price levels; clicks of sessions."""
    rows = pq.read_table(DATA / "eshop_clothing_2008" / "e-shop_clothing_2008.parquet")
    item, ids = _codes(rows["page 2 (clothing model)"])
    names = ("page 1 (main category)", "colour", "model photography", "price")
    known = dict(zip(item.tolist(), zip(*(rows[name].to_pylist() for name in names), strict=True), strict=True))
    contents = []
    for category, colour, photo, price in (known[n] for n in range(len(ids))):
        attributes = [("colour", str(colour)), ("photo", str(photo)), ("price", str(round(2 * np.log(price))))]
        contents.append({"category_path": str(category), "attributes": attributes})
    return Taken(_codes(rows["session ID"])[0], item, contents)


_SOURCES: dict[str, Callable[[], Taken]] = {
    "online_retail_ii": _bundled,
    "ml_1m": _movies,
    "beauty": lambda: _reviews("Beauty"),
    "toys": lambda: _reviews("Toys_and_Games"),
    "sports": lambda: _reviews("Sports_and_Outdoors"),
    "yelp": lambda: _reviews("Yelp"),
    "eshop_clothing_2008": _clothes,
}
