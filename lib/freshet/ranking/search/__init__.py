"""Exact top-k for many shoppers that does not score the whole catalogue for each."""
