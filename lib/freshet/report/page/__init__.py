"""The rendering of the page. Independent of Spark, tables and the clock."""
