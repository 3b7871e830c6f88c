"""What the Python workers of a session on this machine have before they begin."""

import gc
import sys
from collections.abc import Iterator

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

pytestmark = pytest.mark.unit


def test_workers_begin_with_our_modules_which_no_collection_of_garbage_looks_at(spark: SparkSession) -> None:
    def counts(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            kernel = sys.modules.get("freshet.numeric.top_k")
            compiled = len(kernel.put.signatures) if kernel else 0
            yield pa.RecordBatch.from_pydict({"compiled": [compiled], "kept": [gc.get_freeze_count()]})

    rows = spark.range(2).coalesce(1).mapInArrow(counts, "compiled long, kept long").collect()
    # A Python without any of our modules has some 10,000 objects.
    assert all(row.compiled > 0 and row.kept > 50_000 for row in rows)
    assert rows
