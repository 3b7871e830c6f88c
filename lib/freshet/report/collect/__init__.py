"""Collects the content of the report from records and tables, without Spark."""
