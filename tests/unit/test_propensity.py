"""The propensity model, on data made by a known rule."""

import dataclasses
import itertools
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession

from freshet.core.errors import DataTooSmallError
from freshet.models.propensity import model as propensity
from freshet.models.propensity.cuts import rolling_cuts
from freshet.models.propensity.fit import Choice, Search, micros, searched_and_fitted
from freshet.models.propensity.inputs import FEATURES, Inputs
from freshet.models.propensity.model import PropensityParameters, fit_propensity, scored
from freshet.numeric.blocks import Moments
from freshet.numeric.collective import Alone
from tests.gang import in_tasks

CUT = datetime(2021, 7, 1)
CUTS = rolling_cuts(datetime(2020, 1, 1), CUT, horizon_days=30, max_cuts=14)
PARAMETERS = PropensityParameters(
    horizon_days=30,
    max_cuts=14,
    min_positives=10,
    folds=2,
    reg_params=(1e-6,),
    elastic_net_params=(0.0,),
    half_lives_days=(0.0,),
    crossed_columns=(),
    seasons=0,
    max_iter=50,
    search_max_iter=50,
    champion_tolerance=0.0,
)


def changed(**values: Any) -> PropensityParameters:
    return dataclasses.replace(PARAMETERS, **values)


def drawn(spark: SparkSession, seed: int, *, rule: Any, cuts: list[datetime] = CUTS, shoppers: int = 300) -> DataFrame:
    """Rows whose label is 1 with the probability whose log odds are rule(a, b, number of the cut)."""
    random = np.random.default_rng(seed)
    size = shoppers * len(cuts)
    number = np.repeat(np.arange(len(cuts)), shoppers)
    a, b = random.normal(3.0, 2.0, size), random.normal(-1.0, 0.5, size)
    probability = 1 / (1 + np.exp(-rule(a, b, number)))
    columns = {
        "as_of": pa.array([cuts[place] for place in number], pa.timestamp("us", "UTC")),
        "user_id": [f"u{place % shoppers}" for place in range(size)],
        "label": (random.random(size) < probability).astype("int32"),
        "a": a,
        "b": b,
        "constant": np.zeros(size),
        "truth": probability,
    }
    return spark.createDataFrame(pa.table(columns)).repartition(2)


def mean_error(fitted: propensity.FittedPropensity, rows: DataFrame) -> float:
    """Mean distance of the scores from the true probabilities."""
    known = rows.select("as_of", "user_id", "truth")
    joined = scored(fitted.model, rows.drop("label", "truth")).join(known, on=["as_of", "user_id"], how="inner")
    pairs = joined.select("purchase_probability", "truth").toArrow()
    return float(np.abs(np.subtract(*[column.to_numpy() for column in pairs.columns])).mean())


def test_known_coefficients_are_recovered_in_the_units_of_the_columns(spark: SparkSession) -> None:
    rows = drawn(spark, 1, rule=lambda a, b, cut: -1.0 + 0.8 * a - 1.5 * b, shoppers=1000)
    fitted = fit_propensity(rows, ["a", "b", "constant"], cuts=CUTS, cut=CUT, params=PARAMETERS)
    coefficients = fitted.model.stages[-1].coefficients.toArray()[:2]
    assert coefficients == pytest.approx([0.8, -1.5], abs=0.15)


def test_squares_and_products_of_crossed_columns_are_learned(spark: SparkSession) -> None:
    rows = drawn(spark, 2, rule=lambda a, b, cut: (a - 3.0) * (b + 1.0) * 4 - 0.5 * (a - 3.0) ** 2)
    plain = fit_propensity(rows, ["a", "b"], cuts=CUTS, cut=CUT, params=PARAMETERS)
    crossed = fit_propensity(rows, ["a", "b"], cuts=CUTS, cut=CUT, params=changed(crossed_columns=("a", "b", "absent")))
    assert mean_error(plain, rows) > 0.2
    assert mean_error(crossed, rows) < 0.05


def test_a_season_comes_back_a_year_later(spark: SparkSession) -> None:
    """Two of fourteen cuts lie in the season of the run's cut: there everybody buys, else hardly anybody."""
    in_season = [n for n, cut in enumerate(CUTS) if cut.month == CUT.month]
    rows = drawn(spark, 3, rule=lambda a, b, cut: np.where(np.isin(cut, in_season), 2.0, -2.0))
    today = drawn(spark, 4, rule=lambda a, b, cut: np.full(len(cut), 2.0), cuts=[CUT])
    assert in_season
    assert mean_error(fit_propensity(rows, ["a"], cuts=CUTS, cut=CUT, params=changed(seasons=12)), today) < 0.1
    assert mean_error(fit_propensity(rows, ["a"], cuts=CUTS, cut=CUT, params=PARAMETERS), today) > 0.5


def test_the_half_life_that_predicts_later_cuts_best_is_chosen(spark: SparkSession) -> None:
    """The rule turns round near the end: only newest rows help. A half-life of 10 days tells them."""
    rows = drawn(spark, 5, rule=lambda a, b, cut: np.where(cut < 10, -1.0, 1.0) * (a - 3.0), shoppers=150)
    params = changed(half_lives_days=(0.0, 10.0))
    fitted = fit_propensity(rows, ["a"], cuts=CUTS, cut=CUT, params=params)
    assert fitted.choice.half_life_days == 10.0
    assert set(fitted.log_losses) == {(1e-6, 0.0, 0.0), (1e-6, 0.0, 10.0)}


def test_settings_are_judged_without_looking_ahead(spark: SparkSession) -> None:
    """What was learned at the first cut is wrong at the second: who had seen both would know of neither."""
    cuts, grid = CUTS[-2:], changed(reg_params=(1e-6, 1.0))
    rows = drawn(spark, 6, rule=lambda a, b, cut: np.where(cut == 0, 1.0, -1.0) * (a - 3.0), cuts=cuts)
    losses = fit_propensity(rows, ["a"], cuts=cuts, cut=CUT, params=grid).log_losses
    sure, unsure = (losses[choice] for choice in sorted(losses))
    assert sure > 1.3
    assert unsure < 1.0


def test_too_few_buyers_are_reported_in_one_sentence(spark: SparkSession) -> None:
    rows = drawn(spark, 7, rule=lambda a, b, cut: np.full(len(a), -50.0), cuts=CUTS[-2:], shoppers=20)
    with pytest.raises(DataTooSmallError, match="0 of 40 training rows bought within 30 days; expected at least 10"):
        fit_propensity(rows, ["a"], cuts=CUTS[-2:], cut=CUT, params=PARAMETERS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"horizon_days": 0},
        {"reg_params": (0.0,)},
        {"elastic_net_params": (1.5,)},
        {"half_lives_days": ()},
        {"folds": 0},
    ],
)
def test_impossible_parameters_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        changed(**wrong)


def test_stages_and_arrays_make_the_same_vector(spark: SparkSession) -> None:
    """What is learned from is what is scored: plain, scaled and crossed columns, and the season across a year's end."""
    cuts = [datetime(2020, 1, 1), datetime(2020, 12, 31), datetime(2021, 6, 16), CUT]
    rows = drawn(spark, 8, rule=lambda a, b, cut: 0.0 * a, cuts=cuts, shoppers=5)
    inputs = Inputs(("a", "b", "constant"), ("b", "constant"), seasons=12, anchor=CUT)
    known = Moments(np.array([-1.0, 0.25]), np.array([0.5, 0.0]), 1.0)
    made = PipelineModel(inputs.stages(known)).transform(rows).select("as_of", "a", "b", "constant", FEATURES).collect()
    values = np.array([row[1:4] for row in made])
    moments = np.array([micros(row["as_of"]) for row in made])
    expected = inputs.vectors(values, moments, known)
    assert np.array([row[FEATURES].toArray() for row in made]) == pytest.approx(expected, abs=1e-12)
    assert expected.shape == (20, 1 + 2 + 3 + 12)
    in_season = dict(zip([row["as_of"] for row in made], expected[:, 6].tolist(), strict=True))
    assert in_season == {CUT: 1.0, datetime(2021, 6, 16): 1.0, datetime(2020, 1, 1): 0.0, datetime(2020, 12, 31): 0.0}


@pytest.mark.unit
@pytest.mark.parametrize("tasks", [2, 4])
def test_search_and_fit_are_the_same_from_one_and_from_several_tasks(tasks: int) -> None:
    random = np.random.default_rng(9)
    number = np.repeat(np.arange(len(CUTS)), 100)
    a, b = random.normal(2.0, 3.0, (2, len(number)))
    table = {
        "as_of": pa.array([CUTS[place] for place in number], pa.timestamp("us", "UTC")),
        "label": (random.random(len(number)) < 1 / (1 + np.exp(1 - a + 0.1 * number))).astype(float),
        "a": a,
        "b": b,
    }
    rows = pa.table(table).take(random.permutation(len(number)))
    search = Search(
        inputs=Inputs(("a", "b"), ("a",), seasons=4, anchor=CUT),
        grid=(Choice(0.001, 0.0, 0.0), Choice(0.001, 0.5, 60.0), Choice(0.1, 0.0, 60.0)),
        folds=tuple((micros(CUTS[place - 1]), micros(CUTS[place])) for place in (-2, -1)),
        max_iter=50,
        search_max_iter=50,
        least_positives=1,
    )
    edges = [len(rows) * rank // (tasks + 1) for rank in range(tasks)] + [len(rows)]
    parts = [rows[start:end].to_batches() for start, end in itertools.pairwise(edges)]
    one = searched_and_fitted(search, iter(rows.to_batches()), Alone())
    several = in_tasks(lambda part, peers: searched_and_fitted(search, iter(part), peers), parts)
    assert set(one) == set(several[0])
    for name, values in one.items():
        assert several[-1][name] == pytest.approx(values, abs=2e-5), name
