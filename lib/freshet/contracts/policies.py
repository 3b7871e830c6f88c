"""What a list may hold. A policy is also the name of the task by which its lists are judged."""

NEXT_BASKETS, NEW_ITEMS = "next_baskets", "new_items"
POLICIES = (NEXT_BASKETS, NEW_ITEMS)
"""next_baskets: what a shopper had before may come again; new_items: it is left out."""
