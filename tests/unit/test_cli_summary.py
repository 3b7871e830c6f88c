"""What a run prints at its end."""

import shlex
from pathlib import Path

import pytest

from freshet.cli.output import Output
from freshet.cli.summary import print_summary
from freshet.runs.home import Home


@pytest.mark.parametrize("folder", ["plain", "with a space", "with 'a quote'"])
def test_the_next_commands_can_be_copied_whatever_the_folder_is_called(tmp_path: Path, folder: str) -> None:
    console = Output(width=1000)
    console.record = True
    print_summary(console, Home(tmp_path / folder), [], 3.0)
    (line,) = [each for each in console.export_text().splitlines() if each.startswith("Next:")]
    for command in line.removeprefix("Next:").split("·"):
        assert shlex.split(command)[-2:] == ["--home", str(tmp_path / folder)]
