"""Fold-in against the plain equation and against the vectors that MLlib trains."""

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from scipy.sparse import csr_matrix

from freshet.features.interactions import InteractionParameters, histories, interactions
from freshet.models.factors.als import Factoriser, FittedAls
from freshet.models.factors.half_step import NO_REST
from freshet.models.factors.parameters import AlsParameters, FactorisationParameters
from freshet.ranking import fold_in
from freshet.ranking.assembly import assembled
from freshet.ranking.fold_in import folded_in, gram_matrix
from freshet.ranking.histories.history_block import read_block
from freshet.ranking.scoring import shopper_factors
from tests.artifacts import recipe
from tests.catalogues import with_unknown_facts
from tests.factories import days, event, events_frame, local_frame
from tests.oracles_recommendation import folded_in_one

PARAMS = AlsParameters(rank=4, max_iter=3, reg_param=0.08, alpha=5.0, seed=3)
AS_OF = datetime(2020, 6, 1)


def _params(*, alpha: float = 1.0, reg: float = 0.1, power: float = 1.0) -> AlsParameters:
    return AlsParameters(1, 1, reg, alpha, 1, power)


@pytest.mark.parametrize("rank", [1, 3, 64])
def test_vectors_equal_the_plain_equation_for_any_number_of_items(rank: int) -> None:
    rng = np.random.default_rng(rank)
    dense = rng.normal(0.5, 1.0, (40, 90)) * (rng.random((40, 90)) < rng.random((40, 1)))
    factors = rng.standard_normal((90, rank)).astype(np.float32)
    vectors = folded_in(csr_matrix(dense), factors, gram_matrix(factors), _params(alpha=3.0, reg=0.2))
    for row, vector in zip(dense, vectors, strict=True):
        expected = folded_in_one(dict(enumerate(row)), factors.astype(np.float64), alpha=3.0, reg=0.2)
        np.testing.assert_allclose(vector, expected, atol=1e-5)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_vectors_on_nearly_principal_axes_equal_the_plain_equation(
    power: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freshet.ranking.fold_in._solved", _never)
    rng = np.random.default_rng(8)
    dense = rng.random((60, 200)) * 3 * (rng.random((60, 200)) < rng.random((60, 1)))
    loose = rng.standard_normal((200, 16)) * np.linspace(0.1, 3.0, 16)
    axes = np.linalg.eigh(loose.T @ loose)[1]
    # Items that came in after the axes were found turn them a little.
    factors = np.vstack([loose[:190] @ axes, 2 * rng.standard_normal((10, 16))]).astype(np.float32)
    vectors = folded_in(csr_matrix(dense), factors, gram_matrix(factors), _params(alpha=9.0, reg=0.05, power=power))
    for row, vector in zip(dense, vectors, strict=True):
        ridge = 0.05 * max(1, np.count_nonzero(row)) ** (power - 1.0)
        expected = folded_in_one(dict(enumerate(row)), factors.astype(np.float64), alpha=9.0, reg=ridge)
        assert np.linalg.norm(vector - expected) <= 1e-4 * np.linalg.norm(expected)


def test_on_principal_axes_the_rest_of_the_gram_matrix_is_left_out() -> None:
    rng = np.random.default_rng(9)
    dense = rng.random((60, 200)) * 3 * (rng.random((60, 200)) < rng.random((60, 1)))
    loose = rng.standard_normal((200, 16)) * np.linspace(0.1, 3.0, 16)
    factors = (loose @ np.linalg.eigh(loose.T @ loose)[1]).astype(np.float32)
    gram, params = gram_matrix(factors), _params(alpha=9.0, reg=0.05)
    assert fold_in._rest(gram, params) is NO_REST
    for row, vector in zip(dense, folded_in(csr_matrix(dense), factors, gram, params), strict=True):
        expected = folded_in_one(dict(enumerate(row)), factors.astype(np.float64), alpha=9.0, reg=0.05)
        assert np.linalg.norm(vector - expected) <= 1e-4 * np.linalg.norm(expected)
    assert fold_in._rest(gram + 1e-3, params).shape == (16, 16)


def _never(*_: object) -> None:
    raise AssertionError("the kernel did not settle a vector")


def test_a_shopper_without_positive_strength_gets_a_zero_vector() -> None:
    factors = np.ones((3, 2), dtype=np.float32)
    strengths = csr_matrix(np.array([[0.0, 0.0, 0.0], [-1.0, 0.0, -0.5], [1.0, 0.0, 0.0]]))
    vectors = folded_in(strengths, factors, gram_matrix(factors), _params())
    assert vectors[:2].tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert vectors[2].any()


def test_a_vector_does_not_depend_on_the_other_shoppers_of_the_block() -> None:
    rng = np.random.default_rng(5)
    strengths = csr_matrix(rng.random((50, 60)) * (rng.random((50, 60)) < 0.4))
    factors = rng.standard_normal((60, 8)).astype(np.float32)
    gram = gram_matrix(factors)
    together = folded_in(strengths, factors, gram, _params(alpha=2.0))
    alone = [folded_in(strengths[n], factors, gram, _params(alpha=2.0))[0] for n in range(50)]
    np.testing.assert_array_equal(together, np.stack(alone))


def test_without_factors_vectors_have_no_columns() -> None:
    factors = np.zeros((3, 0), dtype=np.float32)
    vectors = folded_in(csr_matrix(np.ones((2, 3))), factors, gram_matrix(factors), _params())
    assert vectors.shape == (2, 0)


def test_an_equation_without_a_single_solution_is_reported() -> None:
    factors = np.array([[1.0, 0.0]], dtype=np.float32)
    with pytest.raises(np.linalg.LinAlgError, match="reg_param"):
        folded_in(csr_matrix([[1.0]]), factors, gram_matrix(factors), _params(reg=0.0))


def _purchases() -> list[dict[str, Any]]:
    """12 shoppers, 9 items; repeated lines, a refund that takes all back, one that takes nearly all."""
    rng = np.random.default_rng(11)
    rows = []
    for n in range(90):
        user, item = f"u{rng.integers(0, 12):02d}", f"i{rng.integers(0, 9)}"
        at = AS_OF - days(float(rng.integers(1, 200)))
        rows.append(event("purchase", user, item, at, order=f"o{n // 2}", event_id=f"e{n:03d}"))
    rows.append(event("refund", "u03", "i1", AS_OF - days(1), order="r1", event_id="r1"))
    rows.append(event("purchase", "only-refunds", "i1", AS_OF - days(9), order="x1", event_id="x1"))
    rows.append(event("refund", "only-refunds", "i1", AS_OF - days(8), order="x2", event_id="x2"))
    return rows


def _users(fitted: FittedAls) -> DataFrame:
    assert fitted.users is not None
    return fitted.users


def _trained(fitted: FittedAls) -> dict[str, list[float]]:
    return {row["user_id"]: row["factors"] for row in _users(fitted).collect()}


def _with_signs(spark: SparkSession, rows: DataFrame) -> DataFrame:
    """Adds rows of strength 0, below 0, null and NaN, which MLlib would otherwise weigh in its own ways."""
    more = [
        {"user_id": "u00", "item_id": "nobody's", "first_time": AS_OF, "strength": 0.0},
        {"user_id": "u01", "item_id": "nobody's", "first_time": AS_OF, "strength": -2.0},
        {"user_id": "u02", "item_id": "nobody's", "first_time": AS_OF, "strength": None},
        {"user_id": "u04", "item_id": "nobody's", "first_time": AS_OF, "strength": float("nan")},
    ]
    schema = "user_id string, item_id string, first_time timestamp, strength double"
    return rows.select("user_id", "item_id", "first_time", "strength").union(local_frame(spark, schema, more))


@pytest.mark.parametrize("engine", ["mllib", "native"])
def test_the_whole_path_from_history_to_vector_equals_the_trained_one(spark: SparkSession, engine: str) -> None:
    weights = InteractionParameters({"purchase": 1.0, "refund": -1.0}, 60.0, 500)
    events = events_frame(spark, _purchases()).localCheckpoint()
    rows = interactions(events, as_of=AS_OF, half_life_days=60.0, params=weights)
    factoriser = Factoriser(FactorisationParameters(engine, 3, 1.0), 2, print)
    fitted = factoriser.fit(_with_signs(spark, rows), PARAMS, with_users=True)
    trained = _trained(fitted)
    features = local_frame(
        spark,
        "item_id string, first_seen timestamp, trend double, shoppers double, shoppers_7d double, "
        "shoppers_14d double, shoppers_30d double, shoppers_90d double, shoppers_365d double",
        [{"item_id": f"i{n}", "first_seen": AS_OF, "trend": 0.0, "shoppers": 1.0}
         | {f"shoppers_{d}d": 1.0 for d in (7, 14, 30, 90, 365)} for n in range(9)],
    )  # fmt: skip
    model = assembled(
        recipe(als=PARAMS, user_half_life_days=60.0),
        features=with_unknown_facts(features.toArrow()),
        factors=fitted.items,
        item_weights={},
        as_of=AS_OF,
    )
    table = histories(events, max_events=500, event_names=weights.event_names).toArrow()
    block = read_block(
        table.column("history").combine_chunks(), items=model.items, event_names=model.recipe.event_names, clock=AS_OF
    )
    found = dict(zip(table.column("user_id").to_pylist(), shopper_factors(block, model), strict=True))
    assert set(found) - set(trained) == {"only-refunds"}
    assert not found["only-refunds"].any()
    for user, vector in trained.items():
        np.testing.assert_allclose(found[user], vector, atol=1e-4)
