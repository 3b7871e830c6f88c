"""The streaming service: events taken in, lists kept fresh."""
