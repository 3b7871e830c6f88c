"""Rules by which a merchandiser steers lists: read, checked, compiled once, applied in batch and stream."""
