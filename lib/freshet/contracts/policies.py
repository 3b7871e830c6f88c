"""Policies: which items a list may contain. A policy is also the name of the task that evaluates its lists."""

NEXT_BASKETS, NEW_ITEMS = "next_baskets", "new_items"
POLICIES = (NEXT_BASKETS, NEW_ITEMS)
"""next_baskets: items that a shopper had before may be repeated; new_items: they are left out."""
