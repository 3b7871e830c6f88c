"""The rooms and what they may import, and the other rules of the code that a machine can keep."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "lib" / "freshet"

FLOORS = (
    "core",
    "numeric",
    "contracts",
    "tables",
    "sources",
    "cleaning",
    "features",
    "models",
    "rules",
    "ranking",
    "evaluation",
    "experiments",
    "tuning",
    "registry",
    "runs",
    "service",
    "report",
    "pipeline",
    "cli",
    "lab",
)
"""The rooms of the package from the ground up. A room imports rooms below it only."""

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "core": (),
    "numeric": ("core",),
    "contracts": ("core",),
    "tables": ("contracts", "core"),
    "sources": ("contracts", "core", "tables"),
    "cleaning": ("contracts", "core", "sources"),
    "features": ("contracts", "core"),
    "models": ("contracts", "core", "numeric"),
    "rules": ("contracts", "core", "numeric", "sources"),
    "ranking": ("contracts", "core", "numeric", "models", "rules"),
    "evaluation": ("contracts", "core", "numeric"),
    "experiments": ("contracts", "core", "sources"),
    "tuning": ("contracts", "core", "numeric", "features", "models", "ranking", "evaluation"),
    "registry": ("contracts", "core", "models"),
    # Settings hold the parameters of every room below.
    "runs": FLOORS[: FLOORS.index("runs")],
    "service": FLOORS[: FLOORS.index("service")],
    "report": ("contracts", "core", "tables", "models", "ranking", "evaluation", "runs", "service"),
    "pipeline": FLOORS[: FLOORS.index("pipeline")],
    "cli": FLOORS[: FLOORS.index("cli")],
    # On top, so that nothing that serves a shop builds on it. Of runs it needs the reader of settings.
    "lab": ("contracts", "core", "numeric", "features", "models", "ranking", "evaluation", "tuning", "runs"),
    "data": (),
}
"""Which rooms of the package each room may import, besides itself."""

PURE = ("contracts", "cleaning", "features", "models", "evaluation", "experiments")
"""Rooms of plain functions: no session, path, clock or environment."""

ONLY_IN = {
    "delta": ("tables",),
    "deltalake": ("tables",),
    "confluent_kafka": ("sources",),
    "mlflow": ("registry",),
    "lightgbm": ("tuning",),
    "optuna": ("tuning",),
    "click": ("cli",),
    "rich": ("cli",),
}
"""Libraries that belong to one room."""

KEEPS_THE_CLOCK = ("runs", "pipeline", "service", "cli", "sources")
CLOCK_NAMES = {"now", "utcnow", "today", "current_timestamp", "current_date", "localtimestamp", "unix_timestamp"}
CLOCK_OF_TIME = {"time", "time_ns", "monotonic", "perf_counter", "sleep", "gmtime", "localtime"}

READS_FILES = {"lib/freshet/sources/mapping.py"}
"""Files of pure rooms that may know a path: the reader of source mappings, which are settings and not data."""

KNOW_SPARK = {"assigned.py", "attribution.py", "measures.py"}
"""Files of the room of experiments that transform tables; statistics are for arrays and numbers, without Spark."""

MOST_FILE_LINES, MOST_FUNCTION_LINES, MOST_FILES_OF_A_ROOM = 400, 70, 20

MOST_MODULES_TO_A_LIST = 12
"""From the start of the service to the data file of a list."""

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


def module_file(name: str) -> Path | None:
    """The file of the package that an imported name, as in freshet.models.mllib.logistic_model, is from."""
    parts = name.split(".")
    if parts[0] != "freshet":
        return None
    for end in range(len(parts), 1, -1):
        path = PACKAGE.joinpath(*parts[1:end])
        if path.with_suffix(".py").is_file():
            return path.with_suffix(".py")
        if (path / "__init__.py").is_file():
            return path / "__init__.py"
    return None


def circle(edges: set[tuple[Path, Path]]) -> list[str]:
    """Who imports whom, once everybody is taken away, again and again, who imports none of the others or is imported
    by none of them."""
    left = set(edges)
    while True:
        importers, imported_ones = {own for own, _ in left}, {other for _, other in left}
        fewer = {(own, other) for own, other in left if other in importers and own in imported_ones}
        if fewer == left:
            return sorted(f"{own.relative_to(PACKAGE)} > {other.relative_to(PACKAGE)}" for own, other in left)
        left = fewer


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def is_allowed(path: Path, name: str) -> bool:
    parts = name.split(".")
    if parts[0] != "freshet" or parts[:2] == ["freshet", "__version__"]:
        return True
    own, other = room(path), parts[1]
    return other == own or other in MAY_IMPORT[own]


def test_every_room_is_in_the_table() -> None:
    rooms = {room(path) for path in LIBRARY} - {"__init__", "__main__"}
    assert rooms <= set(MAY_IMPORT), "a new room needs a line in FLOORS and one in MAY_IMPORT"
    assert set(MAY_IMPORT) == {*FLOORS, "data"}


def test_no_room_may_import_one_above_it() -> None:
    wrong = [
        f"{own} may import {other}"
        for own, others in MAY_IMPORT.items()
        for other in others
        if FLOORS.index(other) >= FLOORS.index(own)
    ]
    assert wrong == []


def test_folders_import_each_other_in_no_circle() -> None:
    edges = {
        (path.parent, target.parent)
        for path in LIBRARY
        for _, name in imported(path)
        if (target := module_file(name)) is not None and target.parent != path.parent
    }
    assert circle(edges) == []


def test_no_folder_holds_more_files_than_can_be_overlooked() -> None:
    folders = {path.parent for path in LIBRARY}
    counts = {folder: len([one for one in folder.glob("*.py") if one.name != "__init__.py"]) for folder in folders}
    full = {folder.relative_to(PACKAGE).as_posix(): n for folder, n in counts.items() if n > MOST_FILES_OF_A_ROOM}
    assert full == {}


def test_rooms_import_only_what_the_table_allows() -> None:
    wrong = [
        f"{place(path, node)}: {room(path)} imports {name}"
        for path in LIBRARY
        if room(path) not in ("__init__", "__main__")
        for node, name in imported(path)
        if not is_allowed(path, name)
    ]
    assert wrong == []


def test_the_way_from_the_service_to_a_list_is_short_and_goes_one_way() -> None:
    """The modules that the docstring of the service numbers: each exists, and imports only later ones of them."""
    described = ast.get_docstring(tree(PACKAGE / "service" / "__init__.py")) or ""
    names = re.findall(r"^\d+\. `(freshet\.[a-z_.]+)`", described, re.MULTILINE)
    files = [module_file(name) for name in names]
    assert 0 < len(files) <= MOST_MODULES_TO_A_LIST
    assert [name for name, path in zip(names, files, strict=True) if path is None] == []
    way = [path for path in files if path is not None]
    steps = {
        (way.index(own), way.index(target))
        for own in way
        for _, name in imported(own)
        if (target := module_file(name)) in way
    }
    assert [(names[own], names[target]) for own, target in sorted(steps) if target <= own] == []
    # Every module but the first is reached from an earlier one.
    assert {target for _, target in steps} == set(range(1, len(way)))


def test_nothing_in_the_library_imports_jobs() -> None:
    wrong = [place(path, node) for path in LIBRARY for node, name in imported(path) if name.split(".")[0] == "jobs"]
    assert wrong == []


def test_libraries_of_one_room_stay_in_it() -> None:
    wrong = [
        f"{place(path, node)}: {name} belongs to {' and '.join(ONLY_IN[name.split('.')[0]])}"
        for path in LIBRARY
        for node, name in imported(path)
        if room(path) not in ONLY_IN.get(name.split(".")[0], (room(path),))
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


def test_tables_become_arrow_datasets_in_one_file() -> None:
    readers = {
        path.relative_to(REPOSITORY).as_posix()
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr in ("to_pyarrow_dataset", "to_pyarrow_table", "to_pandas")
        and "DeltaTable" in path.read_text(encoding="utf-8")
    }
    assert readers == {"lib/freshet/tables/format/arrow_reading.py"}


def test_commands_print_through_one_file() -> None:
    # Texts of data with markup or control characters break a terminal that gets them as they are.
    printing = {"click.echo", "click.secho", "click.style", "rich.console.Console", "rich.text.Text", "print"}
    made = [
        place(path, node)
        for path in LIBRARY
        if room(path) == "cli" and path.stem != "output"
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Call) and ast.unparse(node.func) in (*printing, "Console", "Text"))
    ]
    assert made == []


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
    if of_module == "self":  # a clock that was handed in
        return False
    return node.attr in CLOCK_NAMES or (of_module == "time" and node.attr in CLOCK_OF_TIME)


def test_pure_rooms_know_no_session_path_or_environment() -> None:
    banned = {"os", "pathlib", "tempfile", "subprocess", "pyspark.sql.SparkSession"}
    wrong = [
        f"{place(path, node)}: {name}"
        for path in LIBRARY
        if room(path) in PURE
        for node, name in imported(path)
        if name in banned or name.split(".")[0] in banned
    ]
    assert wrong == []


def test_statistics_of_experiments_are_free_of_spark() -> None:
    own = [path for path in LIBRARY if room(path) == "experiments"]
    knowing = {path.name for path in own for _, name in imported(path) if name.split(".")[0] == "pyspark"}
    assert knowing == KNOW_SPARK


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_files_and_functions_are_short_and_explained(path: Path) -> None:
    assert too_long(path) == []
    assert "utils" not in path.stem
    assert path.stat().st_size == 0 or ast.get_docstring(tree(path)), "a module says what it is for"
    assert [node.name for node in _public(tree(path)) if not ast.get_docstring(node)] == []


def test_files_and_functions_of_tests_are_short_too() -> None:
    assert len(TESTS) > 100
    assert [problem for path in TESTS for problem in too_long(path)] == []


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
