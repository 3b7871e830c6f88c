"""Logistic regression of 500,000 x 64 dense rows to convergence, against MLlib with its defaults."""

from typing import Any

from pyspark.ml.classification import LogisticRegression, LogisticRegressionModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F

from freshet.models.propensity.logistic import LogisticParameters, fit_logistic
from tests.benchmarks.mllib_pairs import COLUMNS, dense_rows, side_by_side

ROWS, QUICK_ROWS, PAIRS = 500_000, 40_000, 5
PARAMETERS = LogisticParameters(reg_param=0.0, elastic_net_param=0.0, standardization=True, max_iter=100, tol=1e-7)


def logreg(quick: bool, pairs: int = PAIRS) -> dict[str, Any]:
    """See mllib_pairs.side_by_side; objective_excess is the highest of our mean log loss over MLlib's, less 1."""
    number = QUICK_ROWS if quick else ROWS
    with dense_rows(number) as rows:

        def loss(model: LogisticRegressionModel) -> float:
            likely = F.element_at(vector_to_array("probability"), F.col("label").cast("int") + 1)
            return float(model.transform(rows).agg(F.avg(-F.log(likely))).head()[0])  # type: ignore[index]

        def ours() -> LogisticRegressionModel:
            return fit_logistic(rows, features="features", label="label", weight=None, params=PARAMETERS)

        found = side_by_side(ours, lambda: LogisticRegression().fit(rows), loss, pairs=pairs)
    return {**found, "rows": number, "columns": COLUMNS}
