"""The notebook runs, is short, and reproduces the published table."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import freshet.lab

NOTEBOOK = Path(freshet.lab.__file__).with_name("notebook.ipynb")

MOST_LINES = 40

FIRST_SEED, OF_FIVE_SEEDS = 0.478, 0.4797
"""NDCG@10 in tests/benchmarks/RESULTS.md; the mean is compared in the benchmark, which takes minutes."""

TOLERANCE = 0.0005
"""The published figure has three digits; 0.47778 was measured, on one thread and on two."""

BIVAE = 0.4751
"""The best published row."""


def _cells() -> list[str]:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_has_at_most_forty_lines_of_code_and_no_results() -> None:
    lines = [line for cell in _cells() for line in cell.splitlines() if line.strip()]
    assert 0 < len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= 120
    assert '"outputs": []' in NOTEBOOK.read_text(encoding="utf-8")
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert text.count('"outputs": []') == len(_cells())


def test_the_notebook_reproduces_the_published_table(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    folder = real_data("ml_100k")
    found = (
        "import json\n"
        "from pyspark import SparkContext\n"
        "print(json.dumps({'table': table.to_dict('index'), 'rows': len(split.train), 'chosen': chosen,"
        " 'cases': len(split.cases), 'spark': SparkContext._gateway is not None}))"
    )
    program = tmp_path / "notebook.py"
    program.write_text("\n".join([*_cells(), found]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False,
        env={**os.environ, "FRESHET_TEST_DATA": str(folder.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    ours = result["table"]["linear items"]
    assert ours["ndcg"] == pytest.approx(FIRST_SEED, abs=TOLERANCE)
    assert ours["ndcg"] > BIVAE
    assert (result["rows"], result["cases"], result["spark"]) == (75_066, 943, False)
    assert all(ours["mrr"] > row["mrr"] for name, row in result["table"].items() if name != "linear items")
