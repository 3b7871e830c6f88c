"""Processes that read a table without Spark end with exit code 0: no thread outlives the interpreter."""

import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyarrow.fs import PyFileSystem

from freshet.contracts import RECOMMENDATIONS
from freshet.tables.format.arrow_reading import arrow_dataset
from freshet.tables.small_writes import arrow_schema

pytestmark = pytest.mark.delta

REPOSITORY = Path(__file__).parents[2]

# One reading thread, and a main thread that does not let go of the interpreter by itself: whatever else waits for the
# interpreter when the main thread ends is then caught in most runs, where otherwise it is by chance.
HURRIED = "import sys; sys.setswitchinterval(1); import pyarrow; pyarrow.set_io_thread_count(1)\n"

READS_A_LIST = """
from pathlib import Path
from freshet.contracts import RECOMMENDATIONS
from freshet.tables.lookups.snapshot import rows_where

assert len(rows_where(Path(".freshet/warehouse"), RECOMMENDATIONS, "user_id", "u1")) == 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home of lists, as README's snippets expect it."""
    folder = tmp_path_factory.mktemp("reading")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    items = [{"position": n, "item_id": f"i{n}", "score": 1 / n, "reason": "taste"} for n in range(1, 21)]
    for part in range(5):
        rows = [
            {"user_id": f"u{n}", "generated_at": moment, "event_clock": moment, "generation": 1,
             "model_version": "1.0", "source": "batch", "items": items}
            for n in range(part * 100, part * 100 + 100)
        ]  # fmt: skip
        table = pa.Table.from_pylist(rows, schema=arrow_schema(RECOMMENDATIONS))
        write_deltalake(folder / ".freshet/warehouse/recommendations", table, mode="append")
    return folder


def ends(code: str, folder: Path, *, runs: int) -> Counter[tuple[int, str]]:
    """How often the code ended with which exit code and last line on standard error, in processes of its own."""

    def end(_: int) -> tuple[int, str]:
        command = [sys.executable, "-c", HURRIED + code]
        environment = {"PYTHONPATH": str(REPOSITORY / "lib"), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, (done.stderr.splitlines() or [""])[-1]

    with ThreadPoolExecutor(4) as pool:
        return Counter(pool.map(end, range(runs)))


def test_a_process_that_reads_rows_by_key_ends_well(folder: Path) -> None:
    assert ends(READS_A_LIST, folder, runs=20) == {(0, ""): 20}


def test_arrow_opens_the_files_by_itself(folder: Path) -> None:
    path = folder / ".freshet/warehouse/recommendations"
    dataset = arrow_dataset(DeltaTable(path), path)
    assert not isinstance(dataset.filesystem.base_fs, PyFileSystem)
    assert dataset.count_rows() == 500


def test_values_of_partitions_need_no_plain_names(tmp_path: Path) -> None:
    path, values = tmp_path / "a shop's 100% ?#", ["a b", "x/y%z", "ä?#=1", None]
    write_deltalake(path, pa.table({"value": values, "row": [1, 2, 3, 4]}), partition_by=["value"])
    rows = arrow_dataset(DeltaTable(path), path).to_table().sort_by("row")
    assert rows.column("value").to_pylist() == values


def snippets() -> list[str]:
    """Python code of the papers that reads a table of a home."""
    papers = [path for path in REPOSITORY.rglob("*.md") if not {".venv", "node_modules"} & set(path.parts)]
    blocks = [block for path in papers for block in re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), re.S)]
    return [block for block in blocks if ".freshet/warehouse" in block]


@pytest.mark.parametrize("engine", ["to_pyarrow_table", "duckdb", "polars"])
def test_a_snippet_of_the_papers_reads_the_lists_and_ends_well(engine: str, folder: Path) -> None:
    (code,) = [block for block in snippets() if engine in block]
    assert ends(code, folder, runs=4) == {(0, ""): 4}
