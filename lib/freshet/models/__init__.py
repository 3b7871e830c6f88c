"""Models: a parameter class next to each fit and transform. No IO, no model registry."""
