"""Compiled kernels, top-k, sparse products, and sums over all tasks of a stage. Knows arrays, and nothing of shops."""
