"""Start, supervision and end of the service's queries."""
