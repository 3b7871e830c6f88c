"""Starts, watches and ends the service's queries."""
