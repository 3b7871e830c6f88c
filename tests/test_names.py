"""The name of a table, an item model and a term stands once in the library: everything else reaches it by its contract
or its registry. Names of steps are tested with their registry."""

import ast
from functools import cache
from pathlib import Path

import pytest

from freshet.contracts import ALL_TABLES
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.terms.registry import TERMS

LIBRARY = Path(__file__).parents[1] / "lib" / "freshet"

COLUMNS = {
    "factors": {"models.py", "als.py", "mllib_engine.py", "native_engine.py", "factorisation.py", "assembly.py",
                "item_refresh.py"},
    "neighbours": {"item_weights.py", "artifact.py", "assembly.py", "item_lists.py"},
}  # fmt: skip
"""Files in which a column of a table has the same name."""


@cache
def texts() -> list[tuple[Path, int, str]]:
    """All texts of the library but for docstrings, also the fixed parts of formatted ones, with file and line."""
    found = []
    for path in sorted(LIBRARY.rglob("*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        bare = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
                found.append((path, node.lineno, node.value))
    return found


@pytest.mark.parametrize("name", [*ITEM_MODELS.names, *TERMS.names])
def test_the_name_of_a_model_or_term_is_written_once(name: str) -> None:
    found = [
        f"{path.relative_to(LIBRARY)}:{line}: {text}"
        for path, line, text in texts()
        if path.name not in COLUMNS.get(name, set()) and (text == name or text.startswith(f"{name}_"))
    ]
    assert len(found) == 1, found


WORDS = {"events", "interactions"}
"""Names of tables that are other things too: what is counted, a section of the settings."""


@pytest.mark.parametrize("name", sorted({table.name for table in ALL_TABLES} - WORDS))
def test_the_name_of_a_table_is_written_once(name: str) -> None:
    found = [f"{path.relative_to(LIBRARY)}:{line}" for path, line, text in texts() if text == name]
    assert len(found) == 1, found
