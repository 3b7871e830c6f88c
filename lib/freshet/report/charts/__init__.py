"""Inline SVG charts of the report."""
