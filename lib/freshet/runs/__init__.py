"""Runs: the declaration of all steps, and how steps are run, recorded and found to be up to date."""
