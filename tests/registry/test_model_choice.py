"""Versions promoted and rolled back by hand: what serves, what is recorded, and that a running stream uses it."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner

from freshet.cli.main import freshet as command_line
from freshet.contracts import MODEL_DECISIONS
from freshet.core.errors import FreshetError, StateError
from freshet.evaluation.gate import GateDecision
from freshet.pipeline import promote
from freshet.pipeline.promote import respecting_choice
from freshet.registry.versions import Registry
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.model_choice import serve_previous_champion, serve_version, version_states
from freshet.runs.registered_models import RECOMMENDER, SCORING, SEGMENTS
from freshet.service.list_stream import Champion
from freshet.tables.lookups.snapshot import rows_where

pytestmark = pytest.mark.registry

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three versions of the recommender, of which the second serves after the first."""
    home = Home(tmp_path_factory.mktemp("template")).prepare()
    store = Registry(home.mlflow)
    for number in (1, 2, 3):
        with store.training_run(RECOMMENDER, params={}, fingerprint=f"f{number}") as run:
            run.log_text("{}", f"{SCORING}/file.json")
            store.register(RECOMMENDER, run, SCORING)
        if number < 3:
            store.promote(RECOMMENDER, number)
    return home.root


@pytest.fixture(autouse=True)
def _own_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in this process: its log records stay with pytest."""
    monkeypatch.setattr("freshet.cli.models.log_to", lambda _: None)


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Home:
    shutil.copytree(template, tmp_path / "home")
    return Home(tmp_path / "home")


def decisions(home: Home) -> list[tuple[str, str | None, bool, list[str]]]:
    rows = sorted(rows_where(home.warehouse, MODEL_DECISIONS, "model_name", RECOMMENDER), key=lambda r: r["decided_at"])
    return [(row["model_version"], row["champion_version"], row["accepted"], row["reasons"]) for row in rows]


def served(home: Home) -> tuple[int, int]:
    champion = Registry(home.mlflow).champion(RECOMMENDER)
    assert champion is not None
    return champion.version, champion.generation


def test_a_promotion_by_hand_is_recorded_with_its_reason(home: Home) -> None:
    promoted = serve_version(home, RECOMMENDER, 3, reason="better on the site", now=NOW)
    assert promoted is not None
    assert (promoted.version, promoted.generation) == served(home) == (3, 3)
    assert decisions(home) == [("3.0", "2.0", True, ["better on the site"])]
    assert serve_version(home, RECOMMENDER, 3, reason="again", now=NOW) is None
    assert len(decisions(home)) == 1


def test_a_roll_back_goes_to_the_champion_before_and_the_next_returns(home: Home) -> None:
    assert served(home) == (2, 2)
    serve_previous_champion(home, RECOMMENDER, reason="bad lists", now=NOW)
    assert served(home) == (1, 3)
    serve_previous_champion(home, RECOMMENDER, reason="it was not the lists", now=NOW.replace(hour=1))
    assert served(home) == (2, 4)
    assert decisions(home) == [
        ("1.0", "2.0", True, ["bad lists"]),
        ("2.0", "1.0", True, ["it was not the lists"]),
    ]


def test_a_replaced_version_is_not_promoted_again_by_the_gate_until_somebody_chooses_it(home: Home) -> None:
    accepted = GateDecision(accepted=True, reasons=("better",), metrics={"value": 0.1})

    def decisions_of_gate() -> list[bool]:
        return [respecting_choice(one, accepted).accepted for one in Registry(home.mlflow).versions(RECOMMENDER)]

    assert decisions_of_gate() == [True, True, True]
    serve_previous_champion(home, RECOMMENDER, reason="bad lists", now=NOW)
    assert decisions_of_gate() == [True, False, True]
    replaced = Registry(home.mlflow).versions(RECOMMENDER)[1]
    (reason,) = respecting_choice(replaced, accepted).reasons
    assert "version 2 was replaced by hand (bad lists)" in reason
    assert "freshet promote --version 2" in reason
    refused = replace(accepted, accepted=False, reasons=("worse",))
    assert respecting_choice(replaced, refused) == refused
    serve_version(home, RECOMMENDER, 2, reason="it was not the lists", now=NOW.replace(hour=1))
    assert decisions_of_gate() == [False, True, True]


def test_the_gate_step_refuses_a_replaced_version(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_previous_champion(home, RECOMMENDER, reason="bad lists", now=NOW)
    replaced = Registry(home.mlflow).versions(RECOMMENDER)[1]
    accepted = GateDecision(accepted=True, reasons=("better",), metrics={})
    applied: list[GateDecision] = []
    monkeypatch.setattr(promote, "_trained", lambda job, name: replaced if name == SEGMENTS else None)
    monkeypatch.setattr(promote, "model_decision", lambda job, version: accepted)
    monkeypatch.setattr(promote, "_apply", lambda job, version, decision: applied.append(decision))
    monkeypatch.setattr(promote, "retire_old_versions", lambda job: None)
    record = promote.work(cast(Job, SimpleNamespace()), "f")
    assert [decision.accepted for decision in applied] == [False]
    assert record["decisions"][SEGMENTS]["accepted"] is False


def test_states_show_aliases_generations_and_decisions(home: Home) -> None:
    serve_previous_champion(home, RECOMMENDER, reason="bad lists", now=NOW)
    states = version_states(home)
    summaries = [(one.version.version, one.aliases, one.version.generation, len(one.decisions)) for one in states]
    assert summaries == [(1, ("champion",), 3, 1), (2, (), 2, 0), (3, ("challenger",), 0, 0)]


def test_a_running_stream_uses_the_choice_at_its_next_look(home: Home) -> None:
    job = SimpleNamespace(home=home, record=lambda _: {"policy": "next_baskets"})
    look_always = Champion(cast(Job, job), seconds=0.0)
    look_later = Champion(cast(Job, job), seconds=3600.0)
    found: list[Any] = [(look_always().version, look_always().generation)]
    assert look_later().version == "2.0"
    serve_previous_champion(home, RECOMMENDER, reason="bad lists", now=NOW)
    found.append((look_always().version, look_always().generation))
    serve_version(home, RECOMMENDER, 3, reason="new", now=NOW)
    found.append((look_always().version, look_always().generation))
    assert found == [("2.0", 2), ("1.0", 3), ("3.0", 4)]
    assert look_later().version == "2.0"


def test_a_version_whose_files_are_gone_is_refused_and_nothing_changes(home: Home) -> None:
    (version,) = [one for one in Registry(home.mlflow).versions(RECOMMENDER) if one.version == 1]
    shutil.rmtree(version.folder)
    with pytest.raises(StateError, match="are gone"):
        serve_previous_champion(home, RECOMMENDER, reason="bad lists", now=NOW)
    assert served(home) == (2, 2)
    assert decisions(home) == []


def ended(home: Path, *words: str) -> str:
    """The one line by which a command says why it cannot do it."""
    done = CliRunner().invoke(command_line, [words[0], "--home", str(home), *words[1:]], standalone_mode=False)
    assert isinstance(done.exception, FreshetError), done.output
    return done.exception.line()


def test_what_cannot_be_chosen_is_one_line(home: Home, tmp_path: Path) -> None:
    line = ended(home.root, "promote", "--version", "9")
    assert line == "freshet-recommender: no such model version; expected one of 1, 2, 3; found 9"
    assert "there is no version of freshet-segments" in ended(
        home.root, "promote", "--model", "segments", "--version", "1"
    )
    assert "has served before the champion" in ended(home.root, "rollback", "--model", "propensity")
    Home(tmp_path / "begun").prepare()
    for words in (["models"], ["rollback"], ["promote", "--version", "1"]):
        assert "there is no version of any model" in ended(tmp_path / "begun", *words)
        assert "no run has been made here" in ended(tmp_path / "mistyped", *words)


def test_commands_say_what_serves(home: Home) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(command_line, [words[0], "--home", str(home.root), *words[1:]])
        assert done.exception is None, done.exception
        return done.output

    assert run("rollback") == "version 1.0 of the recommender serves, generation 3\n"
    assert run("promote", "--version", "3") == "version 3.0 of the recommender serves, generation 4\n"
    assert run("promote", "--version", "3") == "version 3 of the recommender already serves\n"
    found = {row["version"]: row for row in json.loads(run("models", "--json"))}
    assert [found[number]["aliases"] for number in (1, 2, 3)] == [[], [], ["champion"]]
    assert [row["reasons"] for row in found[1]["decisions"]] == [["rolled back by hand"]]
    assert "champion" in run("models")
