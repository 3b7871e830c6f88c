"""The study: each setting once, the best of it, the same however often it is broken off."""

import json
from itertools import product
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from freshet.core.errors import StateError
from freshet.tuning.study import Effort, Judged, Setting, best_of, studied

SPACE: dict[str, tuple[float, ...]] = {"x": (3, 1, 2, 4, 5), "y": (0.1, 10.0, 1.0)}


def _value(setting: Setting) -> float:
    """Best at x = 5, y = 1, falling off on all sides."""
    return -((setting["x"] - 5) ** 2) - {0.1: 3.0, 1.0: 0.0, 10.0: 2.0}[setting["y"]]


def _effort(trials: int, *, at_once: int = 2, patience: int = 100) -> Effort:
    return Effort(trials, at_once, patience, 0.0, seed=5)


def _settings(trials: list[Judged]) -> list[tuple[float, float]]:
    return [(trial.setting["x"], trial.setting["y"]) for trial in trials]


def test_a_small_space_is_tried_whole_and_each_setting_once(spark: SparkSession, tmp_path: Path) -> None:
    found = studied(SPACE, _value, effort=_effort(100), record=tmp_path / "r.json", spark=spark)
    assert _settings(found)[0] == (3, 0.1)
    assert sorted(_settings(found)) == sorted(product(*SPACE.values()))
    best = best_of(found)
    assert best is not None
    assert best.setting == {"x": 5, "y": 1.0}


@pytest.mark.parametrize("known", [2, 4, 6])
def test_a_study_goes_on_from_its_record_as_if_it_had_not_been_broken_off(
    known: int, spark: SparkSession, tmp_path: Path
) -> None:
    whole = studied(SPACE, _value, effort=_effort(8), record=tmp_path / "whole.json", spark=spark)
    assert len(whole) == 8
    (tmp_path / "part.json").write_text(json.dumps(whole[:known]))
    tried: list[Setting] = []

    def judge(setting: Setting) -> float:
        tried.append(setting)
        return _value(setting)

    assert studied(SPACE, judge, effort=_effort(8), record=tmp_path / "part.json", spark=spark) == whole
    assert len(tried) == 8 - known


def test_a_record_is_kept_after_each_round(spark: SparkSession, tmp_path: Path) -> None:
    record, calls = tmp_path / "r.json", []

    def judge(setting: Setting) -> float:
        calls.append(setting)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return _value(setting)

    with pytest.raises(KeyboardInterrupt):
        studied(SPACE, judge, effort=_effort(8, at_once=1), record=record, spark=spark)
    assert json.loads(record.read_text()) == [[setting, _value(setting)] for setting in calls[:2]]


def test_trials_without_gain_end_a_study(spark: SparkSession, tmp_path: Path) -> None:
    values = iter([1.0, 2.0, 2.0, 1.0, 2.0, 9.0])
    effort = _effort(100, at_once=1, patience=3)
    found = studied(SPACE, lambda setting: next(values), effort=effort, record=tmp_path / "r.json", spark=spark)
    assert [trial.value for trial in found] == [1.0, 2.0, 2.0, 1.0, 2.0]
    best = best_of(found)
    assert best is not None
    assert best.setting == found[1].setting  # the earliest of equals


def test_what_cannot_be_judged_is_no_best_and_not_tried_again(spark: SparkSession, tmp_path: Path) -> None:
    found = studied(
        {"x": (1, 2)}, lambda setting: None if setting["x"] == 1 else -5.0, effort=_effort(9),
        record=tmp_path / "r.json", spark=spark,
    )  # fmt: skip
    assert [tuple(trial) for trial in found] == [({"x": 1}, None), ({"x": 2}, -5.0)]
    assert best_of(found) == found[1]
    assert best_of(found[:1]) is None


def test_the_seed_decides_what_is_proposed(spark: SparkSession, tmp_path: Path) -> None:
    orders = [
        _settings(studied(SPACE, _value, effort=Effort(7, 1, 100, 0.0, seed), record=tmp_path / str(n), spark=spark))
        for n, seed in enumerate((5, 5, 6))
    ]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read"), ("[1, 2]", "cannot be read"), ('[[{"x": 77}, 1.0]]', "another search")],
)
def test_a_strange_record_is_refused(text: str, message: str, spark: SparkSession, tmp_path: Path) -> None:
    record = tmp_path / "r.json"
    record.write_text(text)
    with pytest.raises(StateError, match=message):
        studied(SPACE, _value, effort=_effort(3), record=record, spark=spark)


@pytest.mark.parametrize("wrong", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_impossible_efforts_are_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        Effort(*wrong, 0.0, 1)
