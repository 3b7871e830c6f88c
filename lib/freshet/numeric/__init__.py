"""Compiled kernels, top-k, sparse products, and sums over all tasks of a stage: arrays only, nothing about shops."""
