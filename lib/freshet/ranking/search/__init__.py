"""Exact top-k for many shoppers without scoring the whole catalogue for each."""
