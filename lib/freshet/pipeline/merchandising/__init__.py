"""Merchandising rules of a home: written, measured and previewed."""
