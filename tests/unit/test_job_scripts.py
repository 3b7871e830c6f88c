"""The scripts of jobs/: which steps each runs, and what its help tells."""

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from freshet.cli import submitted
from freshet.core.errors import InputError
from freshet.pipeline.items import ITEMS
from freshet.pipeline.main_job import MAIN_STEPS
from freshet.service.serving import PARTS
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.unit

SCRIPTS = sorted((REPOSITORY / "jobs").glob("*.py"))


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, ...]]:
    """By script, the steps, or the part of the service, that it names."""
    named: dict[str, tuple[str, ...]] = {}
    job_command, service_command = submitted.job_command, submitted.service_command

    def noted_steps(*names: str) -> Callable[[], None]:
        named[script.stem] = names
        return job_command(*names)

    def noted_part(part: str, title: str) -> Callable[[], None]:
        named[script.stem] = (part,)
        return service_command(part, title)

    monkeypatch.setattr(submitted, "job_command", noted_steps)
    monkeypatch.setattr(submitted, "service_command", noted_part)
    for script in SCRIPTS:
        assert callable(runpy.run_path(str(script))["main"])
    assert sorted(named) == [script.stem for script in SCRIPTS]
    return named


def test_every_step_and_every_part_of_the_service_is_in_one_script(declared: dict[str, tuple[str, ...]]) -> None:
    main_steps = [step.name for step in MAIN_STEPS]
    assert list(declared.pop("main_job")) == main_steps
    alone = sorted(name for names in declared.values() for name in names)
    assert alone == sorted([*main_steps, ITEMS.name, *PARTS])


@pytest.mark.parametrize("names", [("trian-recommender",), ("build", "bild"), ()])
def test_a_name_that_no_step_has_is_told_with_the_known_ones(names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=f"expected some of ingest, build, .*; found {'none' if not names else ''}"):
        submitted.job_command(*names)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_help_of_a_script_has_an_example(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [str(script), "--help"])
    runpy.run_path(str(script))["main"]()
    told = capsys.readouterr().out
    line = f"  scripts/submit.sh {script.stem} --master spark://127.0.0.1:7077 --home /data/freshet"
    assert f"Example:\n  {line}" in told
    # What an example gives, the script takes.
    example = told.partition("Example:")[2].partition("Options:")[0]
    options = {word for word in example.split() if word.startswith("--")} - {"--master"}
    assert options <= {word for word in told.partition("Options:")[2].split() if word.startswith("--")}
    assert ("--input" in example) == (script.stem in ("ingest", "items", "main_job"))
