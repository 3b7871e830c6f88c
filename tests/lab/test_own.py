"""One's own model, term, protocol and scores, from functions and from classes, end to end."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix, diags

from freshet.core.errors import FreshetError
from freshet.lab import (
    ITEM_MODELS,
    NEW_ITEMS,
    NEXT_BASKETS,
    TERMS,
    Blend,
    InputError,
    Interactions,
    ItemValues,
    MatrixModel,
    MatrixTerm,
    Split,
    fit,
    given_split,
    hold_out,
    judge,
    last_basket,
    lists_of_scores,
    register,
    unregister,
)
from freshet.models.items.item_model import FitLimits, ItemModel, TrainingData
from tests import toys
from tests.lab.shops import baskets

NAMES = ("follower", "wanted", "margin", "mirror", "even", "last_letter", "frames")


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    unregister(*NAMES)
    assert not set(NAMES) & {*ITEM_MODELS.names, *TERMS.names}


def _chain() -> Split:
    """Who has a gets b, who has b gets c; nobody has had two of them."""
    train = Interactions.of({"user_id": [1, 2, 3], "item_id": ["a", "b", "c"]})
    truth = Interactions.of({"user_id": [1, 2], "item_id": ["b", "c"]})
    return given_split(train, truth)


def next_letter(strengths: csr_matrix) -> csr_matrix:
    """[items, items]: each item of a, b, c speaks for the next one."""
    assert strengths.shape == (3, 3)
    return csr_matrix(diags([1.0, 1.0], 1, shape=(3, 3)))


def test_a_model_from_a_function_keeps_its_orientation() -> None:
    register(MatrixModel("follower", next_letter, words="The next letter"))
    split = _chain()
    blend = fit(split, ["follower"])
    assert blend.describe()["follower"] == "The next letter"
    assert blend.lists(split, k=1).to_dict() == {1: ["b"], 2: ["c"]}
    assert judge(blend.lists(split, k=1), split, ks=1).value("mrr") == 1.0
    # The other way round it would list what came before.
    register(MatrixModel("follower", lambda strengths: next_letter(strengths).T))
    assert fit(split, ["follower"]).lists(split, k=1).to_dict()[2] == ["a"]


def test_a_term_from_a_function_is_searched_weighed_and_explained() -> None:
    register(MatrixTerm("wanted", lambda strengths: np.roll((strengths.toarray() > 0).astype(float), 1, axis=1)))
    split = _chain()
    blend = fit(split).searched(split, k=1)
    assert blend.weights(NEW_ITEMS)["wanted"] > 0
    assert blend.lists(split, k=1).to_dict() == {1: ["b"], 2: ["c"]}
    explained = blend.explained(split, 1, ["a", "b"]).to_pylist()
    assert [row["value"] for row in explained if row["term"] == "wanted"] == [0.0, 1.0]


def test_values_of_items_are_a_term() -> None:
    register(ItemValues("margin", {"c": 5.0, "b": 1.0}, otherwise=0.0))
    split = _chain()
    blend = fit(split).with_weights({"margin": 1.0})
    assert blend.lists(split, k=3, policy=NEXT_BASKETS).to_dict()[1] == ["c", "b", "a"]


def test_classes_with_the_methods_of_the_engine_take_part_as_they_are() -> None:
    register(*toys.ITEM_MODELS, *toys.TERMS)
    users = [f"u{n}" for n in range(12)]
    train = Interactions.of(
        {
            "user_id": users * 2,
            "item_id": [f"a{n % 6:02d}" for n in range(12)] + ["z00", "b00", "b01", "b02", "b03", "b04"] * 2,
        }
    )
    truth = Interactions.of({"user_id": users, "item_id": [f"b{n % 6:02d}" for n in range(12)]})
    split = given_split(train, truth)
    with pytest.raises(FreshetError, match=r"models.mirror: this model has no usual configuration; expected shift"):
        fit(split, ["mirror"])
    for given in ({"shift": 0}, toys.MirrorConfiguration(0)):
        blend = fit(split, {"mirror": given})
        assert blend.lists(split, k=1).to_dict()["u1"] == ["b01"]
    assert {"even", "last_letter"} <= set(blend.terms)
    searched = blend.searched(split, k=1)
    assert searched.weights(NEW_ITEMS).get("mirror", 0) > 0


class Frames(ItemModel[Any, toys.MirrorConfiguration]):
    """Reads frames, as a model for Spark alone does: every item speaks for the most taken one."""

    name, description = "frames", "Frames"
    settings, configuration = toys.MirrorSettings, toys.MirrorConfiguration

    def half_lives(self, configuration: toys.MirrorConfiguration) -> set[float | None]:
        return {None}

    def fit(self, configuration: toys.MirrorConfiguration, data: TrainingData, limits: FitLimits) -> Any:
        import pyarrow as pa

        assert data.sequences.count() == 3
        rows = data.strengths(None, 0.0).groupBy("item_id").sum("strength").collect()
        best = max(rows, key=lambda row: (row[1], row[0]))[0]
        sources = [[{"item_id": row[0], "weight": float(row[1])} for row in rows if row[0] != best]]
        return pa.table({"item_id": [best], "neighbours": pa.array(sources, toys.WEIGHTS)})

    def inputs(self, configuration: Any, histories: Any, *, event_weights: Any, fitted: Any) -> csr_matrix:
        return histories.strengths(event_weights, None).astype(np.float32)

    def describe(self, configuration: Any) -> dict[str, Any]:
        return {}


def test_a_model_that_reads_frames_gets_them_from_the_active_session(spark: SparkSession) -> None:
    register(Frames())
    data = Interactions.of({"user_id": [1, 2, 3], "item_id": ["a", "b", "b"]})
    assert fit(data, {"frames": {"shift": 0}}).lists([1], k=1, policy=NEW_ITEMS).to_dict() == {1: ["b"]}


def test_without_a_session_such_a_model_starts_one() -> None:
    code = """
from freshet.lab import *
from tests.lab.test_own import Frames
register(Frames())
data = Interactions.of({"user_id": [1, 2, 3], "item_id": ["a", "b", "b"]})
print(fit(data, {"frames": {"shift": 0}}).lists([1], k=1, policy=NEW_ITEMS).to_dict())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "{1: ['b']}", done.stderr


def test_a_protocol_of_ones_own_is_a_function() -> None:
    def every_second_user(data: Interactions) -> Split:
        whole = last_basket(data)
        held = ~np.isin(np.arange(len(data)), np.flatnonzero(data.user_codes % 2)) & (
            data.micros > whole.train.micros.mean()
        )
        return hold_out(data, held, policy=NEXT_BASKETS)

    split = every_second_user(Interactions.of(baskets()))
    judged = judge(fit(split, ["linear_items"]).lists(split), split)
    assert set(judged.per_user.column("user_id").to_pylist()) == {str(100 + n) for n in range(0, 40, 2)}
    assert judged.value("hit") > 0.5


def test_scores_of_a_model_outside_become_lists() -> None:
    split = _chain()
    scores = np.array([[9.0, 2.0, 1.0], [1.0, 9.0, 2.0]])
    assert lists_of_scores(scores, split, k=2).to_dict() == {1: ["b", "c"], 2: ["c", "a"]}
    assert lists_of_scores(scores, split, k=1, policy=NEXT_BASKETS).to_dict() == {1: ["a"], 2: ["b"]}
    assert lists_of_scores(csr_matrix(scores), split, k=3).to_dict() == {1: ["b", "c"], 2: ["c", "a"]}


def test_histories_are_a_matrix_for_models_outside() -> None:
    split = last_basket(Interactions.of({"user_id": [1, 1, 1, 2, 2], "item_id": ["a", "a", "b", "c", "a"],
                                         "time": [1, 2, 3, 1, 2], "strength": [2, 3, 1, 1, 1]}))  # fmt: skip
    assert split.train.items.to_pylist() == ["a", "c"]
    assert split.cases.matrix(split.train.items).toarray().tolist() == [[1, 0], [0, 1]]


def _fit(one: Any) -> Blend:
    register(one)
    split = _chain()
    models = [one.name] if isinstance(one, ItemModel) else []
    blend = fit(split, models).with_weights({one.name: 1.0})
    blend.lists(split, k=1)
    return blend


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: lists_of_scores(np.ones((3, 2)), _chain()),
            r"wrong orientation; expected cases x items = 2 x 3.*items x cases",
        ),
        (lambda: lists_of_scores(np.full((2, 3), np.nan), _chain()), "6 of its values are not finite"),
        (
            lambda: _fit(MatrixModel("follower", lambda strengths: np.ones((2, 3)))),
            "weights of follower.*shape; expected sources x items = 3 x 3",
        ),
        (
            lambda: _fit(MatrixTerm("wanted", lambda strengths: strengths.T)),
            "values of wanted.*users x items = 2 x 3.*items x users = 3 x 2",
        ),
        (
            lambda: _fit(MatrixTerm("wanted", lambda strengths: 7 * strengths)),
            "wanted: a term has too large a value; expected -1 to 1; found 7",
        ),
        (
            lambda: ItemValues("margin", {"a": float("nan"), "b": "x"}),
            "2 problems.*value of a is nan.*value of b is 'x'",
        ),
        (lambda: register(object()), "neither an item model nor a term"),
        (
            lambda: register(MatrixTerm("own_seen", lambda strengths: strengths)),
            "own_seen: there is an item model or a term",
        ),
        (
            lambda: register(MatrixModel("own_seen", lambda strengths: strengths)),
            "own_seen: there is an item model or a term",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_words(make: Any, message: str) -> None:
    with pytest.raises((InputError, FreshetError), match=message):
        make()
