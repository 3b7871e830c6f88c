"""The command line as a user meets it: help everywhere, and one line for every mistake."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from deltalake import DeltaTable, Schema
from pyspark.sql.types import StructType

from freshet.cli.main import freshet as command_line
from freshet.cli.options import parsed_moment
from freshet.contracts import RECOMMENDATIONS
from freshet.core.errors import InputError, SetupError
from freshet.runs.home import Home

REPO = Path(__file__).parents[2]
MAPPING = str(REPO / "conf/sources/cdnow.toml")
CDNOW = str(REPO / "tests/fixtures/sources/cdnow.parquet")
COMMANDS = (
    "run", "ingest", "build", "train", "promote", "recommend", "replay", "evaluate", "report", "items", "mend", "rules",
    "experiments", "models", "rollback", "show", "status", "tables", "jobs", "produce", "stream",
)  # fmt: skip


def freshet(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from freshet.cli import main; main()", *arguments]
    path = {"PYTHONPATH": str(REPO / "lib")}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **path, **(env or {})}
    )


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error; asserts that there is no more and no stack trace."""
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_help_names_every_command() -> None:
    done = freshet("--help")
    assert done.returncode == 0
    named = done.stdout.partition("Commands:")[2].splitlines()
    assert [line.split()[0] for line in named if re.match(r"  \w", line)] == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_an_example(name: str) -> None:
    # In this process: a start for each of them takes seconds.
    result = CliRunner().invoke(command_line, [name, "--help"], prog_name="freshet")
    assert result.exit_code == 0
    assert f"\n    freshet {name}" in result.output.partition("Example")[2]


def test_tables_json_holds_every_contract_with_its_key() -> None:
    done = freshet("tables", "--json")
    tables = {table["name"]: table for table in json.loads(done.stdout)}
    assert len(tables) == 25
    assert tables["recommendations"]["key"] == ["user_id"]


def test_unknown_table_is_reported_with_the_known_ones() -> None:
    assert "expected one of events, quarantine" in error_line(freshet("tables", "orders"))


def test_missing_mapping_is_reported(tmp_path: Path) -> None:
    line = error_line(
        freshet("run", "--source", "nowhere.toml", "--input", str(tmp_path), "--home", str(tmp_path / "h"))
    )
    assert "nowhere.toml" in line
    assert not (tmp_path / "h").exists()


def test_missing_input_is_reported(tmp_path: Path) -> None:
    line = error_line(freshet("run", "--source", MAPPING, "--input", "nowhere.parquet", "--home", str(tmp_path / "h")))
    assert "nowhere.parquet" in line
    assert not (tmp_path / "h").exists()


def test_empty_input_is_reported(tmp_path: Path) -> None:
    empty = tmp_path / "empty.parquet"
    empty.touch()
    line = error_line(freshet("run", "--source", MAPPING, "--input", str(empty), "--home", str(tmp_path / "h")))
    assert "empty.parquet" in line


def test_unknown_key_of_a_mapping_is_reported(tmp_path: Path) -> None:
    mapping = tmp_path / "shop.toml"
    mapping.write_text(Path(MAPPING).read_text() + "\n[surprise]\nkey = 1\n")
    assert "surprise" in error_line(freshet("run", "--source", str(mapping), "--input", str(tmp_path)))


def test_bad_as_of_is_reported(tmp_path: Path) -> None:
    line = error_line(freshet("run", "--source", MAPPING, "--input", str(tmp_path), "--as-of", "yesterday"))
    assert "yesterday" in line
    assert "expected 2011-12-09" in line


@pytest.mark.parametrize("as_of", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-10:00"])
def test_an_as_of_whose_zone_leads_out_of_the_calendar_is_reported(as_of: str) -> None:
    with pytest.raises(InputError, match="not a date; expected 2011-12-09") as caught:
        parsed_moment(as_of)
    assert caught.value.where == f"--as-of {as_of}"


def test_as_of_outside_the_data_is_reported_and_nothing_is_written(tmp_path: Path) -> None:
    words = ["run", "--source", MAPPING, "--input", CDNOW, "--home", str(tmp_path / "h"), "--env", "test"]
    done = freshet(*words, "--as-of", "2030-01-01", "--master", "local[2]")
    line = error_line(done)  # and no warning of Java's
    assert done.returncode == 1
    assert "--as-of 2030-01-01 00:00:00: as_of is outside the data; expected a moment after 1997-" in line
    assert line.endswith("Nothing was written: give another --as-of, or none")
    assert list((tmp_path / "h/warehouse").iterdir()) == list((tmp_path / "h/steps").iterdir()) == []


def test_more_live_days_than_calendars_have_are_reported(tmp_path: Path) -> None:
    words = ["run", "--source", MAPPING, "--input", CDNOW, "--home", str(tmp_path / "h"), "--live-days", "999999"]
    assert "windows.live_days must be at most 36500, is 999999" in error_line(freshet(*words))
    assert not (tmp_path / "h").exists()


@pytest.mark.parametrize(
    ("override", "words"),
    [("search.depth=3", "search.depth is not a setting"), ("gate.k=0", "gate.k must be 1 or more, is 0"),
     ("lists.length=\"ten\"", "lists.length must be integer"), ("nonsense", "expected section.key=VALUE")],
)  # fmt: skip
def test_wrong_setting_is_reported(override: str, words: str, tmp_path: Path) -> None:
    line = error_line(freshet("build", "--home", str(tmp_path / "h"), "--set", override))
    assert words in line
    assert not (tmp_path / "h").exists()


def test_several_wrong_settings_are_reported_at_once(tmp_path: Path) -> None:
    line = error_line(freshet("build", "--home", str(tmp_path), "--set", "search.depth=3", "--set", "lists.width=2"))
    assert "2 problems" in line


def test_home_that_is_a_file_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    line = error_line(freshet("ingest", "--source", MAPPING, "--input", CDNOW, "--home", str(file)))
    assert "the home cannot be written" in line


def test_a_home_without_the_right_to_write_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The folders are all there, and whoever runs the tests may be allowed everything.
    Home(tmp_path).prepare()
    monkeypatch.setattr("freshet.runs.home.os.access", lambda path, mode: path != tmp_path)
    with pytest.raises(SetupError) as caught:
        Home(tmp_path).prepare()
    assert caught.value.line() == (
        f"{tmp_path}: the home cannot be written; expected a folder with the right to write; found no right to write. "
        "Choose another with --home"
    )


def test_missing_java_is_reported(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    line = error_line(freshet("build", "--home", str(tmp_path), env={"PATH": "/nonexistent", "JAVA_HOME": ""}))
    assert "Java was not found" in line


def test_old_java_is_reported(tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_392\"' >&2\n")
    java.chmod(0o755)
    (tmp_path / "steps").mkdir()
    line = error_line(freshet("build", "--home", str(tmp_path), env={"JAVA_HOME": str(tmp_path)}))
    assert "too old" in line
    assert "1.8.0_392" in line


def test_status_and_show_of_an_empty_home_say_what_to_run(tmp_path: Path) -> None:
    assert "Start with `freshet run --help`" in error_line(freshet("status", "--home", str(tmp_path)))
    assert "Run `freshet run` first" in error_line(freshet("show", "17850", "--home", str(tmp_path)))


def test_show_of_a_table_changed_by_hand_is_reported(tmp_path: Path) -> None:
    columns = [column for column in RECOMMENDATIONS.columns if column.name not in ("event_clock", "items")]
    changed = StructType([RECOMMENDATIONS.schema[column.name] for column in columns])
    DeltaTable.create(str(tmp_path / "warehouse/recommendations"), schema=Schema.from_json(changed.json()))
    line = error_line(freshet("show", "17850", "--home", str(tmp_path)))
    assert "table recommendations: 2 problems: (1) column event_clock (timestamp) is missing; (2) column items" in line
    assert "See `freshet tables recommendations` for its columns" in line


@pytest.mark.parametrize("words", [["train"], ["mend", "--source", MAPPING, "--topic", "events"]])
def test_a_home_that_is_mistyped_is_reported_and_not_created(tmp_path: Path, words: list[str]) -> None:
    line = error_line(freshet(*words, "--home", str(tmp_path / "mistyped")))
    assert "mistyped: no run has been made here" in line
    assert list(tmp_path.iterdir()) == []


def test_status_passes_over_a_table_whose_first_write_goes_on(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    (tmp_path / "warehouse/events/_delta_log").mkdir(parents=True)
    done = freshet("status", "--home", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tables"]["events"] is None


def test_commands_that_only_look_do_not_wait_for_the_packages_that_compute() -> None:
    imports = "import sys; from freshet.cli.main import freshet; [freshet.get_command(None, n) for n in sys.argv[1:]]"
    printed = "print([n for n in ('pyspark.ml', 'scipy', 'mlflow') if n in sys.modules])"
    command = [sys.executable, "-c", f"{imports}; {printed}", "show", "status", "tables"]
    environment = {**os.environ, "PYTHONPATH": str(REPO / "lib")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
