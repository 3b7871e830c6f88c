"""Freshet keeps a shop's recommendations fresh: Spark batch jobs, Delta tables, streamed fold-in."""

__version__ = "0.1.0"
