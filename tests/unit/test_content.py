"""What is known of new items by their content: words, links, and weights in item models."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from freshet.models.items.item_model import ITEMS, SHOPPERS, FittedWeights
from freshet.ranking.content import links as links_module
from freshet.ranking.content.features import content_features
from freshet.ranking.content.links import ContentLinks, content_links, widened_weights
from freshet.ranking.new_items import with_new_items
from freshet.rules.compiled import CATALOGUE
from tests.artifacts import artifact, both, bought, items_listed


def contents(**items: dict[str, Any]) -> pa.Table:
    """Rows of CONTENT by id."""
    return pa.Table.from_pylist([{"item_id": name, **values} for name, values in items.items()], schema=CATALOGUE)


def test_words_are_those_of_name_category_levels_brand_and_attributes_by_tf_idf() -> None:
    table = contents(
        a={"name": "Red-cup, RED!", "category_path": "home > cups", "brand": "x", "attributes": [("size", "1")]},
        b={"name": "red cup", "category_path": "home > cups", "attributes": [("size", "2")]},
        c={"name": "Blue cup", "category_path": "home", "brand": "x"},
        d={"name": "only"},
        e={},
    )
    # red, cup, category=home, category=home > cups and brand=x are shared; blue, only and the sizes are not.
    holders = {"red": 2, "cup": 3, "home": 3, "home > cups": 2, "brand": 2}
    rows = [
        {"red": 2, "cup": 1, "home": 1, "home > cups": 1, "brand": 1},
        {"red": 1, "cup": 1, "home": 1, "home > cups": 1}, {"cup": 1, "home": 1, "brand": 1}, {}, {},
    ]  # fmt: skip
    weighed = [
        {word: (1 + math.log(n)) * (1 + math.log(6 / (1 + holders[word]))) for word, n in row.items()} for row in rows
    ]
    lengths = [math.sqrt(sum(value**2 for value in row.values())) or 1.0 for row in weighed]
    expected = [
        [sum(one[word] * other.get(word, 0.0) for word in one) / (left * right)
         for other, right in zip(weighed, lengths, strict=True)]
        for one, left in zip(weighed, lengths, strict=True)
    ]  # fmt: skip
    found = content_features(table)
    np.testing.assert_allclose((found @ found.T).toarray(), expected, atol=1e-6)


@pytest.mark.parametrize("table", [contents(), contents(a={}), contents(a={"name": "x"}, b={"name": "y"})])
def test_without_a_common_word_there_are_no_features(table: pa.Table) -> None:
    assert content_features(table).shape[0] == table.num_rows
    assert content_features(table).nnz == 0


def test_links_are_the_squared_cosines_of_the_nearest_known_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "NEAREST", 2)
    monkeypatch.setattr(links_module, "_CELLS", 7)
    rng = np.random.default_rng(3)
    words = [f"w{n}" for n in range(12)]
    described = {f"i{n:02d}": {"name": " ".join(rng.choice(words, 4))} for n in range(20)}
    table = contents(**described)
    known, new = pa.array([f"i{n:02d}" for n in range(5, 20)] + ["unheard"]), pa.array(["i01", "nothing", "i03"])
    found = content_links(new, table, known).similarity.toarray()
    features = content_features(table).toarray()
    for row, place in ((0, 1), (2, 3)):
        cosines = [float(features[place] @ features[n]) for n in range(5, 20)]
        edge = sorted(cosines, reverse=True)[1]
        expected = [cosine**2 if cosine >= edge - 1e-6 and cosine > 0 else 0.0 for cosine in cosines]
        np.testing.assert_allclose(found[row], [*expected, 0.0], atol=1e-5)
    assert not found[1].any()


def test_items_that_are_equally_similar_are_all_linked() -> None:
    described = {f"i{n:03d}": {"category_path": "cups"} for n in range(100)}
    found = content_links(pa.array(["i099"]), contents(**described), pa.array(list(described)[:99]))
    np.testing.assert_allclose(found.similarity.toarray(), np.ones((1, 99)), rtol=1e-5)


def test_a_new_item_takes_over_the_mean_weights_of_the_items_it_is_linked_to() -> None:
    weights = np.array([[0, 0.4, 0.2], [0.5, 0, 0.1], [0.3, 0, 0]], dtype=np.float32)
    links = ContentLinks(csr_matrix([[0.9, 0.0, 0.5]], dtype=np.float32))
    shares = np.array([0.9, 0.0, 0.5]) / 1.5
    made = widened_weights(FittedWeights(csr_matrix(weights), ITEMS), links, is_similar_items=False).toarray()
    np.testing.assert_allclose(made[:3, :3], weights)
    np.testing.assert_allclose(made[:3, 3], weights @ shares, rtol=1e-6)
    np.testing.assert_allclose(made[3, :3], shares @ weights, rtol=1e-6)
    assert made[3, 3] == 0
    by_shopper = widened_weights(FittedWeights(csr_matrix(weights[:2]), SHOPPERS), links, is_similar_items=False)
    np.testing.assert_allclose(by_shopper.toarray(), np.column_stack([weights[:2], weights[:2] @ shares]), rtol=1e-6)


def test_in_a_model_of_similar_items_a_new_item_is_a_neighbour_of_its_links() -> None:
    weights = np.array([[0, 0.4, 0.2], [0.5, 0, 0.1], [0.3, 0, 0]], dtype=np.float32)
    links = ContentLinks(csr_matrix([[0.9, 0.0, 0.5]], dtype=np.float32))
    shares = np.array([0.9, 0.0, 0.5]) / 1.5
    made = widened_weights(FittedWeights(csr_matrix(weights), ITEMS), links, is_similar_items=True).toarray()
    # The largest weights of the items as sources are 0.4 and 0.3, as targets 0.5 and 0.2.
    np.testing.assert_allclose(made[:3, 3], np.maximum(weights @ shares, [0.9 * 0.4, 0, 0.5 * 0.3]), rtol=1e-6)
    np.testing.assert_allclose(made[3, :3], np.maximum(shares @ weights, [0.9 * 0.5, 0, 0.5 * 0.2]), rtol=1e-6)


def test_only_the_largest_weights_are_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "_MOST_WEIGHTS", 2)
    weights = np.array([[0, 0, 0.1], [0, 0, -0.5], [0, 0, 0.3], [0.2, 0.1, 0.7]], dtype=np.float32)
    links = ContentLinks(csr_matrix([[0.0, 0.0, 1.0]], dtype=np.float32))
    made = widened_weights(FittedWeights(csr_matrix(weights), SHOPPERS), links, is_similar_items=False).toarray()
    np.testing.assert_allclose(made[:, 3], np.array([0, -0.5, 0, 0.7]) / 1.1, rtol=1e-6)


def test_a_new_item_is_listed_for_shoppers_of_what_it_resembles_and_leads_to_it() -> None:
    neighbours = np.zeros((4, 4))
    neighbours[0, 1] = neighbours[1, 0] = 0.8  # a and b go together
    model = artifact(["a", "b", "c", "d"], neighbours=neighbours, weights=both(neighbours=1.0))
    links = ContentLinks(csr_matrix([[1.0, 0, 0, 0]], dtype=np.float32))
    wider = with_new_items(model, pa.array(["aa"]), np.zeros((1, 0), np.float32), links)
    lists = items_listed(wider, {"had a": [bought("a")], "had c": [bought("c")], "had aa": [bought("aa")]},
                         "new_items", length=2)  # fmt: skip
    assert [one["item_id"] for one in lists["had a"]] == ["aa", "b"]
    assert [one["score"] for one in lists["had c"]] == [0.0, 0.0]
    assert [one["item_id"] for one in lists["had aa"]] == ["a", "b"]
