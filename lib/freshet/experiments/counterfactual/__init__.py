"""The value that another policy would have had, from rounds that were logged with their propensities."""
