"""Keeps tables small and flat: packing, retention, vacuum."""
