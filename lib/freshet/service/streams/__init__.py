"""Streams of raw records: from a topic, a folder, a Delta table of the shop."""
