"""Values in the SQL of queries and predicates."""

from typing import Any


def literal(value: Any) -> str:
    """The value as a text in quotes."""
    escaped = str(value).replace("'", "''")
    return f"'{escaped}'"
