"""Item-to-item models: which items recommend which others."""
