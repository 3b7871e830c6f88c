"""When a step is up to date: with steps that only read settings, in a home without tables."""

import dataclasses
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest

from freshet.core.errors import DeclarationError
from freshet.core.records import read_record, write_record
from freshet.pipeline import evaluate
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.runner import DONE, UP_TO_DATE, run_step
from freshet.runs.settings import load_settings
from freshet.runs.step import Step, no_inputs
from freshet.runs.steps import BUILD, EVALUATE, PROMOTE

pytestmark = pytest.mark.unit


def step(work: Callable[[Job], Any], *, inputs: Callable[[Job], dict[str, Any]] = no_inputs) -> Step:
    """Declares the sections lists and, without consequences, compaction."""

    def done(job: Job, _: str) -> dict[str, Any]:
        work(job)
        return {}

    return Step("toy", (), (), (), ("lists",), inputs, done, also_sections=("compaction",))


def reads_declared(job: Job) -> None:
    assert job.settings.lists.length > 0
    assert job.settings.compaction.model_versions > 0


def job_in(home: Home, *overrides: str) -> Job:
    return Job(MagicMock(), home, load_settings("test", overrides))


def test_a_step_runs_again_when_a_section_that_it_declares_has_changed(home: Home) -> None:
    assert run_step(step(reads_declared), job_in(home)).status == DONE
    assert run_step(step(reads_declared), job_in(home)).status == UP_TO_DATE
    assert run_step(step(reads_declared), job_in(home, "lists.length=7")).status == DONE
    assert run_step(step(reads_declared), job_in(home, "lists.length=7", "gate.k=3")).status == UP_TO_DATE
    of_no_consequence = job_in(home, "lists.length=7", "compaction.model_versions=9")
    assert run_step(step(reads_declared), of_no_consequence).status == UP_TO_DATE


def test_the_record_keeps_the_sections_that_were_read(home: Home) -> None:
    job = job_in(home, "lists.length=7")
    run_step(step(lambda job: job.settings.lists), job)
    record = read_record(home.steps, "toy")
    assert record is not None
    assert record["read"]["settings"].keys() == {"lists"}
    assert record["read"]["settings"]["lists"]["length"] == 7


def reads_gate(job: Job) -> dict[str, Any]:
    return {"k": job.settings.gate.k}


@pytest.mark.parametrize("wrong", [step(reads_gate), step(reads_declared, inputs=reads_gate)], ids=["work", "inputs"])
def test_a_step_that_reads_what_it_does_not_declare_is_stopped(home: Home, wrong: Step) -> None:
    with pytest.raises(DeclarationError, match="step toy: reads section gate of the settings"):
        run_step(wrong, job_in(home))
    assert read_record(home.steps, "toy") is None


def test_the_sections_are_seen_through_threads_and_copies_of_the_job(home: Home) -> None:
    with pytest.raises(DeclarationError):
        run_step(step(lambda job: reads_gate(job.with_progress(print))), job_in(home))


def test_other_settings_are_those_of_the_run(home: Home) -> None:
    job = job_in(home)
    run_step(step(reads_declared), job)
    assert dataclasses.is_dataclass(job.settings)
    assert job.settings.gate.k > 0


def test_the_evaluation_depends_on_the_baselines_that_the_gate_has_chosen(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "champion_facts", lambda job, name: None)
    write_record(home.steps, BUILD.name, {"windows": {}})
    found = []
    for baselines in ([["popularity", "7d"]], [["popularity", "30d"]]):
        write_record(home.steps, PROMOTE.name, {"baselines": baselines})
        found.append(EVALUATE.inputs(job_in(home)))
    assert found[0] != found[1]
