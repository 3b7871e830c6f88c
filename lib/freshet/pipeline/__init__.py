"""The batch steps, one file each, with their helpers."""
