"""Items as weighted words: of their names, categories, brands and attributes (TF-IDF)."""

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from freshet.contracts.events import CATEGORY_LEVELS

CONTENT = ("item_id", "name", "category_path", "brand", "attributes")
"""The columns of contract ITEMS_HISTORY that describe an item."""

_WORD = re.compile(r"[^\W_]+")

_COMMON = 20_000
"""Words of so many items say little, and each makes every new item of them similar to as many known ones."""


def content_features(contents: pa.Table) -> csr_matrix:
    """float32 [items, words], rows of length 1, for rows of CONTENT, in their order.

    Words are those of the name in lower case, every level of the category with those above it, the brand, and each
    attribute with its value. Those of a single item, or of more than 20,000 and half of all items, are left out; an
    item without others has an empty row. Weights: (1 + ln count) * (1 + ln((1 + items) / (1 + items with the word))),
    scaled to length 1 (Salton and Buckley 1988, as in scikit-learn).
    """
    words = [list(_words(row)) for row in contents.select(list(CONTENT[1:])).to_pylist()]
    # A word that only one item has cannot link it to another.
    counted = TfidfVectorizer(
        analyzer=_as_they_are, min_df=2, max_df=max(_COMMON, len(words) // 2), sublinear_tf=True, dtype=np.float32
    )
    try:
        return csr_matrix(counted.fit_transform(words))
    except ValueError:
        # No word is left.
        return csr_matrix((len(words), 1), dtype=np.float32)


def _as_they_are(words: list[str]) -> list[str]:
    return words


def _words(row: dict[str, object]) -> Iterator[str]:
    yield from _WORD.findall(str(row["name"] or "").lower())
    levels = str(row["category_path"]).split(CATEGORY_LEVELS) if row["category_path"] else []
    for depth in range(1, len(levels) + 1):
        yield "category=" + CATEGORY_LEVELS.join(levels[:depth])
    if row["brand"]:
        yield f"brand={row['brand']}"
    for name, value in row["attributes"] or ():  # type: ignore[attr-defined]
        yield f"{name}={value}"
