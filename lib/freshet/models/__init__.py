"""Models: a parameter dataclass beside each fit and transform. No IO, no model registry."""
