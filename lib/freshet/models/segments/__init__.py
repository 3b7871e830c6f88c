"""Customer segments by KMeans."""
