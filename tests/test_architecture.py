"""The rooms and what they may import, and the other rules of the code that a machine can keep."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "lib" / "freshet"

PURE = ("cleaning", "features", "splitting", "models", "evaluation", "monitoring")
ALL = "everything but jobs and cli"

MAY_IMPORT: dict[str, tuple[str, ...] | str] = {
    "errors": (),
    "contracts": ("errors",),
    "top_k": ("compiled",),
    "threads": (),
    "compiled": (),
    "sparse_products": ("compiled",),
    **dict.fromkeys(PURE, ("contracts", "errors")),
    "collective": ("errors",),
    "models": ("contracts", "errors", "collective", "compiled", "sparse_products"),
    "evaluation": ("contracts", "errors", "top_k", "sparse_products"),
    "recommendation": ("contracts", "errors", "models", "top_k", "compiled"),
    "storage": ("contracts", "errors"),
    "messages": ("contracts", "errors"),
    "registry": ("contracts", "models", "errors"),
    "tuning": (
        "contracts",
        "errors",
        "models",
        "recommendation",
        "evaluation",
        "features",
        "splitting",
        "top_k",
        "threads",
    ),
    "streaming": ("storage", "contracts", "cleaning", "recommendation", "monitoring", "errors", "threads"),
    "report": ("contracts", "evaluation", "monitoring", "errors"),
    "session": ("errors",),
    "class_archive": ("session",),
    "worker_daemon": ("recommendation", "storage", "top_k"),
    "logs": ("errors",),
    "settings": ("errors", "parameters"),
    "steps": ALL,
    "cli": ALL,
    "data": (),
}
"""Which rooms of the package each room may import, besides itself. `parameters` stands for parameter dataclasses."""

ONLY_IN = {
    "delta": "storage",
    "deltalake": "storage",
    "confluent_kafka": "messages",
    "mlflow": "registry",
    "optuna": "tuning",
    "click": "cli",
    "rich": "cli",
}
"""Libraries that belong to one room."""

KEEPS_THE_CLOCK = ("steps", "cli", "streaming", "messages")
CLOCK_NAMES = {"now", "utcnow", "today", "current_timestamp", "current_date", "localtimestamp", "unix_timestamp"}
CLOCK_OF_TIME = {"time", "time_ns", "monotonic", "perf_counter", "sleep", "gmtime", "localtime"}

READS_FILES = {"lib/freshet/sources/mapping.py"}
"""Files of pure rooms that may know a path: the reader of source mappings, which are settings and not data."""

MOST_FILE_LINES, MOST_FUNCTION_LINES = 250, 70

SOURCES = sorted([*PACKAGE.rglob("*.py"), *(REPOSITORY / "jobs").rglob("*.py")])
LIBRARY = [path for path in SOURCES if path.is_relative_to(PACKAGE)]
TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))


def room(path: Path) -> str:
    """The room of a file: the first folder or file under the package; jobs for all job scripts."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py") if path.is_relative_to(PACKAGE) else "jobs"


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(REPOSITORY)}:{getattr(node, 'lineno', 1)}"


def imported(path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Every imported name, as in freshet.models.factors.als.AlsParameters, also those of late imports."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path, node)}: relative import"
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def is_allowed(path: Path, name: str) -> bool:
    parts = name.split(".")
    if parts[0] != "freshet" or parts[:2] == ["freshet", "__version__"]:
        return True
    own, other = room(path), parts[1]
    allowed = MAY_IMPORT[own]
    if other == own:
        return True
    if allowed == ALL:
        return other != "cli"
    return other in allowed or ("parameters" in allowed and parts[-1].endswith("Parameters"))


def test_every_room_is_in_the_table() -> None:
    rooms = {room(path) for path in LIBRARY} - {"__init__", "__main__"}
    assert rooms <= set(MAY_IMPORT), "a new room needs a line in MAY_IMPORT"


def test_rooms_import_only_what_the_table_allows() -> None:
    wrong = [
        f"{place(path, node)}: {room(path)} imports {name}"
        for path in LIBRARY
        if room(path) not in ("__init__", "__main__")
        for node, name in imported(path)
        if not is_allowed(path, name)
    ]
    assert wrong == []


def test_nothing_in_the_library_imports_jobs() -> None:
    wrong = [place(path, node) for path in LIBRARY for node, name in imported(path) if name.split(".")[0] == "jobs"]
    assert wrong == []


def test_libraries_of_one_room_stay_in_it() -> None:
    wrong = [
        f"{place(path, node)}: {name} belongs to {ONLY_IN[name.split('.')[0]]}"
        for path in LIBRARY
        for node, name in imported(path)
        if ONLY_IN.get(name.split(".")[0], room(path)) != room(path)
    ]
    assert wrong == []


def test_sessions_are_made_in_one_file() -> None:
    makers = {
        path.relative_to(REPOSITORY).as_posix()
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in ("builder", "getOrCreate")
    }
    assert makers == {"lib/freshet/core/session.py"}


def test_the_clock_is_read_at_the_edges_only() -> None:
    wrong = [
        f"{place(path, node)}: {ast.unparse(node)}"
        for path in LIBRARY
        if room(path) not in KEEPS_THE_CLOCK
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and _reads_clock(node)
    ]
    wrong += [
        f"{place(path, node)}: {name}"
        for path in LIBRARY
        if room(path) not in KEEPS_THE_CLOCK
        for node, name in imported(path)
        if name.startswith("time.") and name.removeprefix("time.") in CLOCK_OF_TIME
    ]
    assert wrong == []


def _reads_clock(node: ast.Attribute) -> bool:
    of_module = node.value.id if isinstance(node.value, ast.Name) else ""
    return node.attr in CLOCK_NAMES or (of_module == "time" and node.attr in CLOCK_OF_TIME)


def test_pure_rooms_know_no_session_path_or_environment() -> None:
    banned = {"os", "pathlib", "tempfile", "subprocess", "pyspark.sql.SparkSession"}
    wrong = [
        f"{place(path, node)}: {name}"
        for path in LIBRARY
        if room(path) in (*PURE, "contracts", "errors") and path.relative_to(REPOSITORY).as_posix() not in READS_FILES
        for node, name in imported(path)
        if name in banned or name.split(".")[0] in banned
    ]
    assert wrong == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_files_and_functions_are_short_and_explained(path: Path) -> None:
    assert too_long(path) == []
    assert "utils" not in path.stem
    assert path.stat().st_size == 0 or ast.get_docstring(tree(path)), "a module says what it is for"
    assert [node.name for node in _public(tree(path)) if not ast.get_docstring(node)] == []


def test_files_and_functions_of_tests_are_short_too() -> None:
    assert len(TESTS) > 100
    assert [told for path in TESTS for told in too_long(path)] == []


def too_long(path: Path) -> list[str]:
    """What of a file is not short: itself, and functions."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    whole = [f"{path.name} has {lines} lines"] if lines >= MOST_FILE_LINES else []
    counts = {node: node.end_lineno - node.lineno + 1 for node in functions(path) if node.end_lineno}
    long = {node: count for node, count in counts.items() if count >= MOST_FUNCTION_LINES}
    return whole + [f"{place(path, node)}: {node.name} has {count} lines" for node, count in long.items()]


def _public(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Functions and classes that others may use. Properties and dunders say enough by their name."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
