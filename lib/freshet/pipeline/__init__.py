"""The batch steps, a file each with its helpers."""
