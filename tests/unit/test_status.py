"""What `freshet status` says about how much is kept."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from freshet.cli.status import status
from freshet.core.records import write_record
from freshet.runs.home import Home

pytestmark = pytest.mark.unit


def shown(home: Home, *options: str) -> str:
    """The output on one line."""
    done = CliRunner().invoke(status, ["--home", str(home.root), *options], catch_exceptions=False)
    return " ".join(done.output.split())


def retention(home: Home, *options: str) -> dict[str, int]:
    found: dict[str, Any] = json.loads(shown(home, "--json", *options))
    return found["kept"]


def promoted_with(home: Home, **compaction: int) -> None:
    """Writes the record of a promotion, with the settings that it read."""
    record = {"seconds": 1.0, "read": {"settings": {"compaction": compaction}, "tables": []}}
    write_record(home.steps, "promote", record)


LAST = {"feature_dates": 7, "model_versions": 9, "metrics_days": 11, "quarantine_days": 13, "vacuum_hours": 15}


def test_a_home_without_a_promotion_keeps_what_the_settings_file_says(home: Home) -> None:
    assert retention(home) == {
        "feature_dates": 3, "model_versions": 5, "metrics_days": 30, "quarantine_days": 90, "vacuum_hours": 6
    }  # fmt: skip
    assert "Kept by the settings of conf/base.toml: 3 dates" in shown(home)


def test_the_last_promotion_says_how_much_is_kept(home: Home) -> None:
    promoted_with(home, **LAST, pack_mb=64)
    assert retention(home) == LAST
    assert "Kept by the settings of the last promotion: 7 dates of features, scores and segments; 9 v" in shown(home)


def test_given_settings_go_before_those_of_the_last_promotion(home: Home) -> None:
    promoted_with(home, **LAST)
    assert retention(home, "--env", "test", "--set", "compaction.model_versions=2")["model_versions"] == 2
    assert retention(home, "--env", "test")["feature_dates"] == 3
    assert "Kept by the given settings: 4 dates" in shown(home, "--set", "compaction.feature_dates=4")


def test_a_promotion_that_did_not_read_all_of_them_says_nothing(home: Home) -> None:
    promoted_with(home, model_versions=9)
    assert retention(home)["model_versions"] == 5
