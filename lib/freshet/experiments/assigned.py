"""The arms of shoppers as Spark columns, equal to `assignment`."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from freshet.experiments.assignment import HASH_DIGITS, LAYER, WITHIN, slices
from freshet.experiments.experiment import BUCKETS, Experiment


def bucket_column(kind: str, name: str, user_id: Column) -> Column:
    """`assignment.bucket` of a column of ids; null for null."""
    text = F.concat(F.lit(f"{kind}:{name}:"), user_id)
    digits = F.substring(F.sha2(text, 256), 1, HASH_DIGITS)
    return (F.conv(digits, 16, 10).cast("bigint") % BUCKETS).cast("int")


def arm_column(experiment: Experiment, user_id: Column) -> Column:
    """`assignment.arm_of` of a column of ids; null for null and for shoppers without an arm."""
    layer, within = (bucket_column(LAYER, experiment.layer, user_id), bucket_column(WITHIN, experiment.salt, user_id))
    is_in = (layer >= experiment.first_bucket) & (layer < experiment.end_bucket)
    arms = [F.when(is_in & (within >= first) & (within < end), name) for name, first, end in slices(experiment)]
    return F.coalesce(*arms)
