"""What a run prints at its end."""

import shlex
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner

from freshet.cli import opening, progress
from freshet.cli.main import freshet
from freshet.cli.output import Output
from freshet.cli.summary import print_summary
from freshet.runs.home import Home
from freshet.runs.runner import DONE, StepResult
from freshet.runs.steps import INGEST
from tests.conftest import REPOSITORY


@pytest.mark.parametrize("folder", ["plain", "with a space", "with 'a quote'"])
def test_the_next_commands_can_be_copied_whatever_the_folder_is_called(tmp_path: Path, folder: str) -> None:
    console = Output(width=1000)
    console.record = True
    print_summary(console, Home(tmp_path / folder), [], 3.0)
    (line,) = [each for each in console.export_text().splitlines() if each.startswith("Next:")]
    for command in line.removeprefix("Next:").split("·"):
        assert shlex.split(command)[-2:] == ["--home", str(tmp_path / folder)]


def test_the_intake_alone_says_what_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    record = {"raw_rows": 3, "accepted": 2, "refused": {"bad_time": 1}}
    result = StepResult(step=INGEST.name, title=INGEST.title, status=DONE, seconds=1.0, record=record)
    monkeypatch.setattr(opening, "opened_job", lambda *_, **__: nullcontext())
    monkeypatch.setattr(progress, "run_with_progress", lambda *_: [result])
    sources = REPOSITORY / "tests/fixtures/sources"
    words = [
        "ingest",
        "--source",
        str(REPOSITORY / "conf/sources/cdnow.toml"),
        "--input",
        str(sources / "cdnow.parquet"),
    ]
    done = CliRunner().invoke(freshet, words, catch_exceptions=False)
    assert "refused: bad_time" in done.output
