"""Runs: what a step is, which steps there are, and how they are run, recorded and found to be up to date."""
