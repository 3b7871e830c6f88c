"""The rendering of the page. Knows no Spark, no table and no clock."""
