"""Comparison with golden files. FRESHET_REBUILD_GOLDEN=1 writes them anew and skips, so a rebuild is never a pass."""

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "files"


def check_golden(name: str, text: str) -> None:
    """Asserts that `text` is the golden file's."""
    path = FOLDER / name
    if os.environ.get("FRESHET_REBUILD_GOLDEN"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        pytest.skip(f"golden file {name} was written anew")
    assert text == path.read_text(encoding="utf-8"), f"differs from tests/golden/files/{name}"
