"""The main job on a small designed shop: every step, a second run that changes nothing, readers without Spark, and
the same on a real standalone cluster: the first step as a job of its own, then all, never killed."""

import json
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from click.testing import CliRunner
from pyspark.sql import SparkSession

from freshet.cli.show import show
from freshet.contracts.operations import TASKS
from freshet.registry.store import DATABASE
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.registered_models import PROPENSITY, RECOMMENDER, SEGMENTS
from freshet.runs.registry import main_steps
from freshet.runs.runner import DONE, NOT_BUILT, UP_TO_DATE, StepResult, run_step
from freshet.runs.settings import load_settings
from freshet.runs.side_by_side import run_steps
from freshet.tables.leases import leases
from freshet.tables.warehouse import Warehouse
from tests.jobs.cluster import COMPARED, cluster, comparable, rows_of, submitted
from tests.jobs.small_shop import OVERRIDES, SHOPPERS, shop_rows, write_shop
from tests.report_data import SECTIONS

REPO = Path(__file__).parents[2]
WITH_SEVERAL_TABLES = ("ingest", "build", "recommend")
REFUSED = ("o1,c1,i1,some day,1,2", "o2,c2,i2,2025-01-02 09:00,many,3")
"""Lines that no event is made of."""


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def finished(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, list[StepResult]]:
    """A local run that was killed once in every step and started again."""
    folder = tmp_path_factory.mktemp("shop")
    mapping, data = write_shop(folder, REFUSED)
    settings = load_settings("test", OVERRIDES)
    job = Job(spark, Home(folder / "home").prepare(), settings, source=mapping, input_path=data)
    results = []
    for step in main_steps():
        with pytest.MonkeyPatch.context() as patch:
            if step.name in WITH_SEVERAL_TABLES:
                patch.setattr(Warehouse, "replace", _killed_after(Warehouse.replace))
            else:
                patch.setattr("freshet.runs.runner.write_record", _killed)
            with pytest.raises(KilledError):
                run_step(step, job)
        results.append(run_step(step, job))
    return job, results


def _killed(*_: Any) -> None:
    raise KilledError


def _killed_after(write: Callable[..., None]) -> Callable[..., None]:
    def once(*arguments: Any, **options: Any) -> None:
        write(*arguments, **options)
        raise KilledError

    return once


def test_every_step_ends_with_tables_or_a_reason(finished: tuple[Job, list[StepResult]]) -> None:
    for result in finished[1]:
        assert result.status == DONE or result.record["not_built"], result.step
    assert [result.step for result in finished[1] if result.status == NOT_BUILT] == []


def test_intake_adds_up(finished: tuple[Job, list[StepResult]]) -> None:
    record = finished[1][0].record
    assert record["raw_rows"] == len(shop_rows()) - 1 + len(REFUSED)
    assert sum(record["refused"].values()) == len(REFUSED)
    assert record["accepted"] + len(REFUSED) == record["raw_rows"]


def test_lists_are_of_the_shoppers_own_half(finished: tuple[Job, list[StepResult]]) -> None:
    rows = rows_of(finished[0].home.root, "recommendations")
    assert len(rows) == SHOPPERS
    for row in rows:
        half = range(0, 15) if int(row["user_id"][1:]) % 2 else range(15, 30)
        own = [int(item["item_id"][1:]) in half for item in row["items"][:5]]
        assert sum(own) >= 4, row
        assert [item["position"] for item in row["items"]] == list(range(1, len(row["items"]) + 1))


def test_served_lists_are_compared_with_popularity_and_are_better(finished: tuple[Job, list[StepResult]]) -> None:
    job, _ = finished
    test = [row for row in rows_of(job.home.root, "evaluation_results") if row["split"] == "test"]
    for task in TASKS[:2]:
        figures = {row["model"]: row for row in test if (row["task"], row["metric"], row["k"]) == (task, "ndcg", 10)}
        popular = [row for model, row in figures.items() if model.startswith("popularity/")]
        assert len(popular) == 2, sorted(figures)
        for row in figures.values():
            assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1, row
            assert row["users"] == figures["served"]["users"] > 0
        assert all(figures["served"]["low"] > row["value"] for row in popular), figures


def test_the_gate_decides_once_on_each_model_and_says_why(finished: tuple[Job, list[StepResult]]) -> None:
    rows = rows_of(finished[0].home.root, "model_decisions")
    decided = sorted((row["model_name"], row["model_version"], row["accepted"]) for row in rows)
    assert decided == [(PROPENSITY, "1.0", False), (RECOMMENDER, "1.0", True), (SEGMENTS, "1.0", True)]
    reasons = {row["model_name"]: row["reasons"] for row in rows}
    assert "no better than" in reasons[PROPENSITY][0]
    assert any("against popularity/" in reason for reason in reasons[RECOMMENDER])
    assert all(row["reasons"] and all(row["reasons"]) and row["metrics"] for row in rows)


def test_report_has_every_section_and_shows_a_list(finished: tuple[Job, list[StepResult]]) -> None:
    home = finished[0].home.root
    page = (home / "report/index.html").read_text(encoding="utf-8")
    assert re.findall(r'<section id="(\w+)"', page) == SECTIONS
    shoppers = page.partition('<section id="shoppers"')[2].partition("</section>")[0]
    shown = re.findall(r'<span class="id">(c\d+)</span>', shoppers)
    assert shown
    rows = rows_of(home, "recommendation_updates") + rows_of(home, "recommendations")
    newest = {user: max((r for r in rows if r["user_id"] == user), key=lambda r: r["event_clock"]) for user in shown}
    # Of an item without a name the id stands for it.
    firsts = [f'<span class="position">1</span><span class="what">{newest[user]["items"][0]["item_id"]}<'
              for user in shown]  # fmt: skip
    assert [first for first in firsts if first not in shoppers] == []


def test_second_run_is_up_to_date_and_makes_no_commit_and_no_model(finished: tuple[Job, list[StepResult]]) -> None:
    job, _ = finished
    before = {path.name: _newest_commit(path) for path in job.home.warehouse.iterdir()}
    runs, versions = _in_registry(job.home)
    assert runs >= 3
    assert versions == 3
    again = run_steps(job, main_steps(), MagicMock())
    assert [result.status for result in again] == [UP_TO_DATE] * len(main_steps())
    assert {path.name: _newest_commit(path) for path in job.home.warehouse.iterdir()} == before
    assert _in_registry(job.home) == (runs, versions)


def test_a_step_with_nothing_to_do_runs_while_others_write_its_tables(
    finished: tuple[Job, list[StepResult]],
) -> None:
    job, _ = finished
    with leases(job.home.locks, "ingest", []):
        assert run_step(main_steps()[0], job).status == UP_TO_DATE


WORDS = {
    "bought_before": "bought before", "viewed_before": "looked at before", "similar_to": "similar to",
    "similar_shoppers": "taken by similar shoppers", "taste": "fits the taste", "popular_now": "popular now",
}  # fmt: skip


def test_show_prints_the_newest_list_with_its_reasons(finished: tuple[Job, list[StepResult]]) -> None:
    words = ["c0", "--home", str(finished[0].home.root)]
    result = CliRunner().invoke(show, [*words, "--json"])
    assert result.exit_code == 0, result.output
    known = json.loads(result.output)
    rows = rows_of(finished[0].home.root, "recommendation_updates")
    newest = max((row for row in rows if row["user_id"] == "c0"), key=lambda row: row["event_clock"])
    assert [item["item_id"] for item in known["now"]["items"]] == [item["item_id"] for item in newest["items"]]
    assert known["before"]["source"] == "batch"
    shown = CliRunner().invoke(show, words).output
    assert "Shopper c0" in shown
    assert [item["item_id"] for item in newest["items"][:10] if item["item_id"] not in shown] == []
    reasons = [item["reason"].partition(":") for item in newest["items"][:10]]
    in_words = [f"{WORDS[code]} {origin}".strip() for code, _, origin in reasons]
    assert [words for words in in_words if words not in shown] == []


def test_readme_lines_read_the_lists_without_spark(
    finished: tuple[Job, list[StepResult]], capsys: pytest.CaptureFixture[str]
) -> None:
    text = (REPO / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    assert len(blocks) == 3
    for block in blocks:
        exec(block.replace(".freshet", str(finished[0].home.root)), {})
        assert "c0" in capsys.readouterr().out


def _in_registry(home: Home) -> tuple[int, int]:
    """How many runs and model versions MLflow has, those that were deleted too."""
    with closing(sqlite3.connect(home.mlflow / DATABASE)) as database:
        counts = [database.execute(f"SELECT COUNT(*) FROM {table}").fetchone() for table in ("runs", "model_versions")]
    return counts[0][0], counts[1][0]


def _newest_commit(table: Path) -> str:
    return max(path.name for path in (table / "_delta_log").glob("*.json"))


@pytest.fixture(scope="module")
def master() -> Iterator[str]:
    with cluster() as address:
        yield address


@pytest.mark.cluster
def test_the_main_job_on_a_cluster_gives_the_tables_of_the_killed_local_run(
    finished: tuple[Job, list[StepResult]], master: str, tmp_path: Path
) -> None:
    near, far = finished[0].home.root, tmp_path / "far"
    mapping, data = write_shop(tmp_path, REFUSED)
    options = ["--home", str(far), "--env", "test", *[part for one in OVERRIDES for part in ("--set", one)]]
    subprocess.run([REPO / "scripts/package.sh"], check=True, capture_output=True)
    options += ["--source", str(mapping), "--input", str(data)]
    submitted(master, "ingest", *options)
    output = submitted(master, "main_job", *options)
    assert re.search(r"Ingest raw records +up to date", output), output
    for name in COMPARED:
        ours, theirs = comparable(far, name), comparable(near, name)
        assert len(ours) == len(theirs) > 0, name
        for left, right in zip(ours, theirs, strict=True):
            # Sums in another order may differ in their last digits.
            assert left == pytest.approx(right, abs=1e-3), name
