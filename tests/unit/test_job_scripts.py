"""The scripts of jobs/: which steps each runs, and what its help tells."""

import re
import runpy
from pathlib import Path

import pytest

from freshet.runs.registry import all_steps, job_scripts, main_steps
from freshet.runs.steps import MEND
from freshet.service.serving import PARTS
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.unit

SCRIPTS = sorted((REPOSITORY / "jobs").glob("*.py"))


def test_every_script_has_its_job() -> None:
    """A job without a script of its own is run by step.py."""
    assert {script.stem for script in SCRIPTS} <= {*job_scripts(), "step"}


def test_every_step_and_every_part_of_the_service_is_in_one_script() -> None:
    scripts = job_scripts()
    assert scripts.pop("main_job").steps == main_steps()
    alone = [step.name for script in scripts.values() for step in script.steps]
    # Refused records are taken in again by hand, when somebody has looked at them.
    assert sorted(alone) == sorted(step.name for step in all_steps() if step.name != MEND.name)
    assert sorted(script.part for script in scripts.values() if script.part) == sorted(PARTS)


@pytest.mark.parametrize("name", ["trian", ""])
def test_a_name_that_no_job_has_is_reported_with_the_known_ones(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["jobs/step.py", *filter(None, [name])])
    with pytest.raises(SystemExit):
        runpy.run_path(str(REPOSITORY / "jobs/step.py"))["main"]()
    line = capsys.readouterr().err
    assert re.search(rf"no such job; expected one of main_job, ingest, .*; found {name or 'none'}$", line.strip())


def test_a_step_is_run_by_its_name_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["jobs/step.py", "build", "--help"])
    runpy.run_path(str(REPOSITORY / "jobs/step.py"))["main"]()
    assert "scripts/submit.sh build --master" in capsys.readouterr().out


@pytest.mark.parametrize("script", [one for one in SCRIPTS if one.stem != "step"], ids=lambda script: script.stem)
def test_help_of_a_script_has_an_example(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [str(script), "--help"])
    runpy.run_path(str(script))["main"]()
    output = capsys.readouterr().out
    line = f"  scripts/submit.sh {script.stem} --master spark://127.0.0.1:7077 --home /data/freshet"
    assert f"Example:\n  {line}" in output
    # What an example gives, the script takes.
    example = output.partition("Example:")[2].partition("Options:")[0]
    options = {word for word in example.split() if word.startswith("--")} - {"--master"}
    assert options <= {word for word in output.partition("Options:")[2].split() if word.startswith("--")}
    assert ("--input" in example) == (script.stem in ("experiments", "ingest", "items", "main_job", "rules"))
