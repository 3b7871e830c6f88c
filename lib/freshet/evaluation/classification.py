"""Quality of probabilities: ranking (AUC, average precision), fit (log loss, Brier), calibration, and a threshold.

A row of `scored` is one case: label (0 or 1) and probability (0 to 1) that the label is 1. All figures are computed
from counts per distinct probability, exactly, with ties, and without collecting the cases anywhere. Rows with a null or
NaN in either column are left out; the count `users` shows how many cases remain.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from freshet.core.errors import DataTooSmallError

CALIBRATION_BINS = 10
"""Bins of the calibration error, as in Naeini, Cooper and Hauskrecht (2015)."""

_SLICES = 4096
_LEAST_PROBABILITY = 2.0**-52
"""Probabilities of 0 and 1 are moved by this much in the log loss, so that one wrong case does not make it infinite."""


def score_counts(scored: DataFrame) -> DataFrame:
    """(probability, positives, negatives, true_positives, false_positives): a row per distinct probability.

    positives and negatives (long) count the cases of exactly this probability; true_positives and false_positives
    those of at least this probability, as if it were the threshold. Rows are in no order.
    """
    known = F.col("label").isNotNull() & F.col("probability").isNotNull() & ~F.isnan("probability")
    counts = (
        scored.where(known)
        .groupBy(F.col("probability").cast("double").alias("probability"))
        .agg(F.count_if(F.col("label") == 1).alias("positives"), F.count_if(F.col("label") != 1).alias("negatives"))
        .withColumn("slice", F.floor(F.col("probability") * _SLICES))
    )
    # Running totals in two steps, within slices of the probability and over whole slices: a single window over all
    # distinct probabilities would process them all in one task.
    sliced = counts.groupBy("slice").agg(F.sum("positives").alias("p"), F.sum("negatives").alias("n"))
    above = Window.orderBy(F.desc("slice")).rowsBetween(Window.unboundedPreceding, -1)
    offsets = sliced.select(
        "slice",
        F.coalesce(F.sum("p").over(above), F.lit(0)).alias("p_above"),
        F.coalesce(F.sum("n").over(above), F.lit(0)).alias("n_above"),
    )
    within = (
        Window.partitionBy("slice")
        .orderBy(F.desc("probability"))
        .rowsBetween(Window.unboundedPreceding, Window.currentRow)
    )
    return counts.join(F.broadcast(offsets), on="slice", how="inner").select(
        "probability",
        "positives",
        "negatives",
        (F.col("p_above") + F.sum("positives").over(within)).alias("true_positives"),
        (F.col("n_above") + F.sum("negatives").over(within)).alias("false_positives"),
    )


def probability_figures(scored: DataFrame, *, threshold: float) -> DataFrame:
    """(metric, k, value, low, high, users): all figures of `scored`; k is 0, low and high are null.

    auc: probability that a positive case scores above a negative one, ties half. average_precision: sum over distinct
    probabilities of precision times gain in recall. log_loss (natural logarithm), brier: mean squared error.
    calibration_error: see `calibration_error`. precision, recall, f1, accuracy: of "probability >= threshold".
    positive_rate: share of positive cases; threshold: the given one. A figure that is not defined (auc with one label
    only, precision without a predicted positive, f1 without any positive, anything of no cases) is null.
    """
    counts = score_counts(scored)
    positive, negative = F.sum("positives"), F.sum("negatives")
    cases = positive + negative
    is_predicted = F.col("probability") >= F.lit(threshold)
    hits = F.sum(F.when(is_predicted, F.col("positives")).otherwise(0))
    alarms = F.sum(F.when(is_predicted, F.col("negatives")).otherwise(0))
    figures = {
        "auc": F.try_divide(_ordered_pairs(), positive.cast("double") * negative),
        "average_precision": F.try_divide(_gained_precision(), positive),
        "log_loss": F.try_divide(_surprise(), cases),
        "brier": F.try_divide(_squared_error(), cases),
        "precision": F.try_divide(hits, hits + alarms),
        "recall": F.try_divide(hits, positive),
        "f1": F.try_divide(2 * hits, positive + hits + alarms),
        "accuracy": F.try_divide(hits + negative - alarms, cases),
        "positive_rate": F.try_divide(positive, cases),
        "threshold": F.lit(threshold),
    }
    totals = counts.agg(
        *[value.cast("double").alias(name) for name, value in figures.items()],
        F.coalesce(cases, F.lit(0)).alias("users"),
    )
    error = _calibration_error(_binned(counts, _equal_width(CALIBRATION_BINS)))
    whole = totals.crossJoin(error)
    long = whole.unpivot(["users"], [*figures, "calibration_error"], "metric", "value")
    unknown = F.lit(None).cast("double")
    no_ends = [unknown.alias("low"), unknown.alias("high")]
    return long.select("metric", F.lit(0).alias("k"), "value", *no_ends, "users")


def _ordered_pairs() -> Column:
    """Pairs of a positive above a negative case, ties half."""
    above = F.col("true_positives") - F.col("positives") / 2
    return F.sum(F.col("negatives") * above)


def _gained_precision() -> Column:
    precision = F.col("true_positives") / (F.col("true_positives") + F.col("false_positives"))
    return F.sum(F.col("positives") * precision)


def _surprise() -> Column:
    bounded = F.greatest(F.lit(_LEAST_PROBABILITY), F.least(F.lit(1 - _LEAST_PROBABILITY), F.col("probability")))
    return F.sum(-F.col("positives") * F.log(bounded) - F.col("negatives") * F.log1p(-bounded))


def _squared_error() -> Column:
    p = F.col("probability")
    return F.sum(F.col("positives") * (1 - p) * (1 - p) + F.col("negatives") * p * p)


def calibration(scored: DataFrame, *, bins: int, equal_count: bool) -> DataFrame:
    """(bin, low, high, n, mean_predicted, observed_share): predicted against observed, a row per bin with cases.

    Equal-width bins (equal_count false) divide 0..1; low and high are their borders, low inclusive, 1 in the last.
    Equal-count bins hold about n / bins cases each, by rising probability; cases of one probability stay together, so
    sizes vary with ties; low and high are the lowest and highest probability in the bin. bin counts from 0.
    """
    counts = score_counts(scored)
    if equal_count:
        cases = counts.agg(F.sum(F.col("positives") + F.col("negatives")).alias("cases"))
        binned = _binned(counts.crossJoin(F.broadcast(cases)), _equal_count(bins))
    else:
        binned = _binned(counts, _equal_width(bins))
    low, high = F.col("least"), F.col("most")
    if not equal_count:
        low, high = F.col("bin") / F.lit(float(bins)), (F.col("bin") + 1) / F.lit(float(bins))
    return binned.select("bin", low.alias("low"), high.alias("high"), "n", "mean_predicted", "observed_share")


def _equal_width(bins: int) -> Column:
    return F.least(F.floor(F.col("probability") * bins), F.lit(bins - 1)).cast("int")


def _equal_count(bins: int) -> Column:
    """The bin of the middle case among the cases of one probability, by rising probability; needs `cases`."""
    above_or_equal = F.col("true_positives") + F.col("false_positives")
    middle = F.col("cases") - above_or_equal + (F.col("positives") + F.col("negatives")) / 2
    return F.least(F.floor(middle * bins / F.col("cases")), F.lit(bins - 1)).cast("int")


def _binned(counts: DataFrame, number: Column) -> DataFrame:
    cases = F.col("positives") + F.col("negatives")
    return (
        counts.withColumn("bin", number)
        .groupBy("bin")
        .agg(
            F.min("probability").alias("least"),
            F.max("probability").alias("most"),
            F.sum(cases).alias("n"),
            (F.sum(F.col("probability") * cases) / F.sum(cases)).alias("mean_predicted"),
            (F.sum("positives") / F.sum(cases)).alias("observed_share"),
        )
    )


def _calibration_error(binned: DataFrame) -> DataFrame:
    """One row: the mean over cases of |observed share - mean prediction| of their bin (ECE); null without cases."""
    gap = F.abs(F.col("observed_share") - F.col("mean_predicted"))
    return binned.agg(F.try_divide(F.sum(gap * F.col("n")), F.sum("n")).alias("calibration_error"))


def best_f1_threshold(scored: DataFrame) -> float:
    """The distinct probability that makes the highest F1 as threshold; of several, the highest. Runs a Spark job.

    Choose it on data that the model is not evaluated on. Raises DataTooSmallError without a positive case.
    """
    counts = score_counts(scored)
    positives = counts.agg(F.sum("positives").alias("all_positives"))
    predicted = F.col("true_positives") + F.col("false_positives")
    f1 = 2 * F.col("true_positives") / (predicted + F.col("all_positives"))
    best = (
        counts.crossJoin(F.broadcast(positives))
        .where("all_positives > 0")
        .agg(F.max(F.struct(f1.alias("f1"), F.col("probability"))).alias("best"))
        .first()
    )
    if best is None or best["best"] is None:
        raise DataTooSmallError("a threshold cannot be chosen without a positive case")
    return float(best["best"]["probability"])
