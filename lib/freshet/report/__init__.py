"""The report of a run: one self-contained HTML page from plain values. Knows no Spark, no table and no clock."""
