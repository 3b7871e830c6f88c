"""The registry of steps: each is declared once, whole, and sees only what it declares."""

import ast
import dataclasses
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from freshet.contracts import EVENTS, ITEM_FEATURES, POPULAR_ITEMS
from freshet.core.errors import DeclarationError, InputError
from freshet.runs.access import Access, StepWarehouse, settings_view
from freshet.runs.registry import all_steps, commands, job_scripts, main_steps, register, tables
from freshet.runs.settings import Settings, load_settings
from freshet.runs.step import Step, no_inputs
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.unit

LIBRARY = sorted((REPOSITORY / "lib/freshet").rglob("*.py"))
HOMONYMS = {
    "experiments": "sections of files and settings",
    "items": "a column of list tables",
    "report": "the folder of a home that holds the page",
    "rules": "the heading of a column, and sections of files",
}


@pytest.fixture
def step() -> Step:
    """Reads events by the sections lists and, without consequences, compaction; writes popular_items."""
    return Step(
        "toy", (), (POPULAR_ITEMS,), (EVENTS,), ("lists",), no_inputs, lambda job, _: {}, also_sections=("compaction",)
    )


def texts(path: Path) -> list[str]:
    """All texts of a file that are no docstring and no part of a longer one."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_the_name_of_a_step_is_written_once() -> None:
    names = {step.name for step in all_steps()} - set(HOMONYMS)
    found = Counter((text, path.relative_to(REPOSITORY).as_posix()) for path in LIBRARY for text in texts(path))
    places = {name: [place for text, place in found.elements() if text == name] for name in names}
    assert places == {name: ["lib/freshet/runs/steps.py"] for name in names}


def test_names_of_steps_are_not_put_together_either() -> None:
    starts = ("train-", "freshet-train")
    assert [(path.name, text) for path in LIBRARY for text in texts(path) if text in starts] == []


@pytest.mark.parametrize("step", all_steps(), ids=lambda step: step.name)
def test_a_step_is_declared_whole(step: Step) -> None:
    assert step.title
    assert step.help or step.group
    sections = {field.name for field in dataclasses.fields(Settings)}
    assert {*step.sections, *step.also_sections} <= sections
    assert not set(step.sections) & set(step.also_sections)
    for function in (step.inputs, step.work, step.check):
        if function is not None and ":" in function.__qualname__:
            module, _, name = function.__qualname__.partition(":")
            assert callable(getattr(import_module(module), name))


def test_every_table_is_written_by_a_step() -> None:
    written = {table.name for step in all_steps() for table in step.writes}
    assert written == {table.name for table in tables()}


def test_steps_come_after_those_that_they_name_and_the_report_after_all() -> None:
    names = [step.name for step in main_steps()]
    for place, step in enumerate(main_steps()):
        assert set(step.after) <= set(names[:place]), step.name
    assert set(main_steps()[-1].after) == set(names[:-1])


def test_one_command_trains_all_models() -> None:
    assert [step.name for step in commands()["train"]] == ["train-recommender", "train-propensity", "train-segments"]
    assert job_scripts()["promote"].after == ("train",)
    # What is submitted by hand is not waited for.
    assert "recommend" in job_scripts()["report"].after
    assert not {"replay", "evaluate"} & set(job_scripts()["report"].after)


def test_a_step_without_a_title_is_not_registered(step: Step) -> None:
    with pytest.raises(InputError, match="a step needs a name and a title"):
        register(step)


def test_a_step_after_one_that_there_is_not_is_not_registered(step: Step) -> None:
    with pytest.raises(InputError, match="step toy: it comes after an unknown step; found bild"):
        register(dataclasses.replace(step, title="Toy", after=("bild", "ingest")))


def test_settings_that_a_step_reads_are_noted_and_must_be_declared(step: Step) -> None:
    access, settings = Access(step), load_settings("test")
    view = settings_view(settings, access)
    assert view.lists is settings.lists
    assert view.compaction is settings.compaction
    assert access.values(settings) == {
        "compaction": dataclasses.asdict(settings.compaction), "lists": dataclasses.asdict(settings.lists),
    }  # fmt: skip
    with pytest.raises(DeclarationError, match="step toy: reads section gate of the settings; expected one of comp"):
        _ = view.gate


@pytest.mark.parametrize("used", ["path", "exists", "read", "version"])
def test_tables_that_a_step_reads_must_be_declared(step: Step, tmp_path: Path, used: str) -> None:
    access = Access(step)
    warehouse = StepWarehouse(MagicMock(), tmp_path, access)
    assert not warehouse.exists(EVENTS)
    assert access.tables == {"events"}
    with pytest.raises(DeclarationError, match="step toy: reads table item_features; expected one of events, popular"):
        getattr(warehouse, used)(ITEM_FEATURES)


@pytest.mark.parametrize("write", ["replace", "append"])
def test_tables_that_a_step_writes_must_be_declared(step: Step, tmp_path: Path, write: str) -> None:
    rows: Any = MagicMock()
    with pytest.raises(DeclarationError, match="step toy: writes table events; expected one of popular_items"):
        getattr(StepWarehouse(MagicMock(), tmp_path, Access(step)), write)(rows, EVENTS)
