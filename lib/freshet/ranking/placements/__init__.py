"""Placements: the lists of a shopper's page, each for its own purpose."""
