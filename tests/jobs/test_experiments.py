"""The command that measures experiments: a designed shop in which one arm buys more, its tables, and what is shown."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result
from pyspark.sql import SparkSession

from freshet.cli import opening
from freshet.cli.main import freshet
from freshet.contracts import EVENTS, EXPERIMENT_RESULTS, LIST_OUTCOMES
from freshet.core.errors import FreshetError
from freshet.experiments.assignment import arm_of
from freshet.experiments.reading import experiments_of_toml
from freshet.pipeline.report import page_path
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.runner import DONE, UP_TO_DATE, run_step
from freshet.runs.settings import load_settings
from freshet.runs.steps import REPORT
from freshet.tables.warehouse import Warehouse
from tests.factories import event, events_frame, moment

pytestmark = [pytest.mark.jobs, pytest.mark.delta]

EXPERIMENTS = """
[[experiments]]
name = "ranker"
layer = "lists"
arms = { control = 0.5, new = 0.5 }
starts = 2026-11-10
ends = 2026-11-20
metric = "revenue"
guard_rails = { clicks = 0.2 }

[[experiments]]
name = "not yet"
layer = "search"
arms = { control = 0.5, new = 0.5 }
starts = 2027-01-01
metric = "orders"

[[experiments]]
name = "off"
layer = "search"
arms = { control = 0.5, new = 0.5 }
starts = 2026-01-01
metric = "orders"
enabled = false
"""


def shop_rows() -> list[dict[str, Any]]:
    """Everybody has bought for n before, sees a list and buys for n more, the new arm for 3 more than that."""
    (ranker, *_) = experiments_of_toml(EXPERIMENTS, "")
    rows = []
    for n in range(500):
        who, day = f"u{n}", moment("2026-11-11") + timedelta(minutes=n)
        more = 3.0 if arm_of(ranker, who) == "new" else 0.0
        named = {"user": who, "recommendation_id": f"r{n % 10}"}
        rows += [
            event(user=who, at=day - timedelta(days=5), price=float(n % 20)),
            event("view_item_list", at=day, **named),
            event("select_item", at=day, **named),
            event("select_item" if n % 3 else "view_item_list", item="i2", at=day, **named),
            event(user=who, at=day + timedelta(hours=1), price=20.0 + n % 20 + n % 3 + more, order=f"o{n}"),
        ]
    return [*rows, event("view_item", user="late", at=moment("2026-11-21"))]


@pytest.fixture
def shop(
    spark: SparkSession, home: Home, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[Home, Path]:
    """A home with these events, and the file; commands work in the session of the tests."""
    warehouse.append(events_frame(spark, shop_rows()), EVENTS)
    monkeypatch.setattr(opening, "local_session", lambda *_, **__: spark)
    monkeypatch.setattr(Job, "close", lambda job: None)
    file = tmp_path / "e.toml"
    file.write_text(EXPERIMENTS, encoding="utf-8")
    return home, file


def run_cli(*words: str) -> Result:
    done = CliRunner().invoke(freshet, ["experiments", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def test_it_measures_decides_and_shows(shop: tuple[Home, Path], warehouse: Warehouse) -> None:
    home, file = shop
    options = ("--home", str(home.root))
    assert "nothing was measured" in run_cli(*options).output
    done = run_cli(*options, "--input", str(file), "--env", "test", "--json")
    record = json.loads(done.stdout)["experiments"]
    assert record["decisions"] == {"ranker": {"new": "ship"}, "not yet": {"new": "continue"}}
    again = json.loads(run_cli(*options, "--input", str(file), "--env", "test", "--json").stdout)["experiments"]
    assert again["status"] == "up to date"

    rows = {(row["experiment"], row["arm"], row["metric"]): row for row in warehouse.read(EXPERIMENT_RESULTS).collect()}
    assert len(rows) == 4 + 2
    new = rows["ranker", "new", "revenue"]
    control = rows["ranker", "control", "revenue"]
    assert control["shoppers"] + new["shoppers"] == 500
    # What was spent before explains most of what is spent: only n modulo 3 is left, and the three of the new arm.
    assert new["difference"] == pytest.approx(3.0, abs=0.3)
    assert 2.0 < new["low"] < new["difference"] < new["high"] < 4.0
    assert new["variance_kept"] < 0.1
    assert new["events_until"] == moment("2026-11-20")
    assert (control["decision"], control["difference"], control["reasons"]) == (None, None, [])
    assert rows["not yet", "new", "orders"]["shoppers"] == 0
    assert rows["not yet", "new", "orders"]["value"] is None

    outcomes = warehouse.read(LIST_OUTCOMES).collect()
    assert len(outcomes) == 20
    assert sum(row["orders"] for row in outcomes) == pytest.approx(2 * 500)
    assert {(row["impressions"], row["clicks"]) for row in outcomes} == {(2, 2)}

    shown = run_cli(*options).output
    assert "ship" in shown
    assert "ranker, new: revenue differs by" in shown
    assert len(json.loads(run_cli(*options, "--json").stdout)) == 6


def test_the_report_shows_what_was_measured_last(shop: tuple[Home, Path]) -> None:
    home, file = shop
    job = Job(cast(SparkSession, None), home, load_settings("test"))
    assert run_step(REPORT, job).status == DONE
    assert "step experiments has not run in this home" in page_path(home).read_text(encoding="utf-8")
    run_cli("--home", str(home.root), "--input", str(file), "--env", "test", "--json")
    # The step reads both tables, so it has something to do.
    assert run_step(REPORT, job).status == DONE
    assert run_step(REPORT, job).status == UP_TO_DATE
    page = page_path(home).read_text(encoding="utf-8")
    assert '<strong>new</strong> <span class="badge">ship it</span>' in page
    assert "<h3>not yet " in page
    assert "The sizes of the arms fit their shares" in page
    # The ten lists, whose ids are not Freshet's, were touched by all 500 buyers, each with one order.
    (lists, seen, clicked, orders) = re.findall(
        r'lists of others</th><td class="number">(\d+)</td><td class="number">([\d.]+)</td><td class="number">'
        r'([\d.]+)</td><td class="number">([\d.]+)</td>', page
    )[0]  # fmt: skip
    assert (lists, seen, clicked, orders) == ("10", "2", "2", "50")


def test_what_is_wrong_in_the_file_is_told_before_anything_starts(shop: tuple[Home, Path]) -> None:
    home, file = shop
    file.write_text(EXPERIMENTS.replace('"revenue"', '"money"'), encoding="utf-8")
    with pytest.raises(FreshetError, match="line 8, experiment 1 'ranker': metric must be one of"):
        run_cli("--home", str(home.root), "--input", str(file), "--env", "test")
