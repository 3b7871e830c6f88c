"""Benchmarks name parts of the product, which may move: none of them may be found broken only when it is wanted."""

import importlib
from pathlib import Path

import pytest

from tests.benchmarks import stream_service
from tests.conftest import REPOSITORY

FILES = sorted((REPOSITORY / "tests" / "benchmarks").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_benchmark_finds_all_that_it_imports(path: Path) -> None:
    name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    assert importlib.import_module(name)


def test_the_functions_whose_seconds_are_kept_are_where_the_service_looks_them_up() -> None:
    assert [name for place, name, _ in stream_service._WATCHED if not hasattr(place, name)] == []
