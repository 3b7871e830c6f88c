"""Compaction of the stream's lists, and maintenance of the tables that micro-batches write."""
