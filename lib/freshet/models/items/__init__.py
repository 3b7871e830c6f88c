"""Item-to-item models: which items speak for which others."""
