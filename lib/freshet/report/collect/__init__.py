"""Gathers what the report shows from records and tables, without Spark."""
