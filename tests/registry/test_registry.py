"""The model registry: runs, versions, champion and challenger."""

import json
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from pyspark.ml import Pipeline
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import SparkSession

from freshet.core.errors import StateError
from freshet.registry import ModelVersion, Registry

pytestmark = pytest.mark.registry

MODEL = "freshet-test"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store: its schema takes longer to make than all else here."""
    folder = tmp_path_factory.mktemp("template")
    Registry(folder).versions(MODEL)
    return folder


@pytest.fixture
def registry(template: Path, tmp_path: Path) -> Registry:
    """An empty registry in a folder with a space in its name."""
    folder = tmp_path / "a home" / "mlflow"
    shutil.copytree(template, folder)
    return Registry(folder)


def registered(registry: Registry, fingerprint: str) -> ModelVersion:
    with registry.training_run(MODEL, params={}, fingerprint=fingerprint) as run:
        run.log_text("{}", "model/file.json")
        return registry.register(MODEL, run, "model")


def run_of(registry: Registry, run_id: str):  # type: ignore[no-untyped-def]
    return registry._client.get_run(run_id)


def test_trials_are_finished_runs_below_their_training(registry: Registry) -> None:
    trials = [
        {"kind": "factors", "rank": 32, "ndcg": {"sum": 0.5}},
        {"kind": "factors", "rank": 64, "ndcg": {"sum": None}},
    ]
    with registry.training_run(MODEL, params={}, fingerprint="f") as run:
        run.log_trials(trials)
        experiment = run_of(registry, run.run_id).info.experiment_id
    found = registry._client.search_runs([experiment], f"tags.mlflow.parentRunId = '{run.run_id}'")
    assert {one.info.status for one in found} == {"FINISHED"}
    trial_runs = sorted((one.data.params["rank"], one.data.params["kind"], one.data.metrics) for one in found)
    assert trial_runs == [("32", "factors", {"ndcg_sum": 0.5}), ("64", "factors", {})]
    assert registry.versions(MODEL) == []


def test_a_run_keeps_params_metrics_tables_texts_and_the_code_version(registry: Registry) -> None:
    with registry.training_run(MODEL, params={"rank": 8, "grid": [1, 2]}, fingerprint="f", tags={"shop": "s"}) as run:
        run.log_metrics({"auc": 0.8, "absent": None})
        run.log_inputs({"events": 3})
        run.log_text("<svg/>", "plots/calibration.svg")
    found = run_of(registry, run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"rank": "8", "grid": "[1, 2]"}
    assert found.data.metrics == {"auc": 0.8}
    assert found.data.tags["shop"] == "s"
    assert found.data.tags["mlflow.source.git.commit"]
    [dataset] = found.inputs.dataset_inputs
    assert dataset.dataset.name == "events"
    assert json.loads(dataset.dataset.source)["version"] == 3
    assert run.artifact("plots/calibration.svg").read_text() == "<svg/>"


def test_a_run_that_raises_is_failed(registry: Registry) -> None:
    with pytest.raises(ZeroDivisionError), registry.training_run(MODEL, params={}, fingerprint="f") as run:
        raise ZeroDivisionError
    assert run_of(registry, run.run_id).info.status == "FAILED"


def test_a_run_of_a_killed_process_is_marked_killed_and_a_living_one_is_not(registry: Registry) -> None:
    script = f"""
        import os, signal
        from pathlib import Path
        from freshet.registry import Registry
        with Registry(Path({str(registry.folder)!r})).training_run({MODEL!r}, params={{}}, fingerprint="f") as run:
            print(run.run_id, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    ).stdout.split()[-1]
    assert run_of(registry, killed).info.status == "RUNNING"
    with (
        registry.training_run(MODEL, params={}, fingerprint="g") as living,
        registry.training_run(MODEL, params={}, fingerprint="h"),
    ):
        assert run_of(registry, living.run_id).info.status == "RUNNING"
    assert run_of(registry, killed).info.status == "KILLED"


def test_runs_that_begin_at_once_in_a_new_store_all_live(tmp_path: Path) -> None:
    registry, meeting = Registry(tmp_path / "new"), threading.Barrier(4)

    def train(number: int) -> str:
        meeting.wait(60)
        with registry.training_run(f"model-{number}", params={}, fingerprint=str(number)) as run:
            run.log_text("{}", "model/model.json")
            return registry.register(f"model-{number}", run, "model").run_id

    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(train, range(4)))
    assert [run_of(registry, run).info.status for run in runs] == ["FINISHED"] * 4


def test_a_run_that_ends_while_another_begins_stays_finished(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as ending, registry.training_run(MODEL, params={}, fingerprint="f") as first:

        def ended_meanwhile(_: Path) -> bool:
            ending.close()
            return False

        ending.callback(registry._client.set_terminated, first.run_id, "FINISHED")
        monkeypatch.setattr("freshet.registry.runs._held", ended_meanwhile)
        with registry.training_run(MODEL, params={}, fingerprint="g"):
            assert run_of(registry, first.run_id).info.status == "FINISHED"


def test_a_fingerprint_is_registered_once(registry: Registry) -> None:
    first = registered(registry, "f")
    assert registered(registry, "f") == first
    assert registered(registry, "g").version == 2
    assert [v.version for v in registry.versions(MODEL)] == [1, 2]
    assert registry.find(MODEL, "f") == first
    assert registry.find(MODEL, "unknown") is None
    assert registered(registry, "f") == first
    assert registry.challenger(MODEL) == first


def test_a_new_version_is_challenger_until_it_is_promoted_or_refused(registry: Registry) -> None:
    assert registry.champion(MODEL) is None
    assert registry.challenger(MODEL) is None
    registered(registry, "f")
    registry.promote(MODEL, 1)
    assert (registry.champion(MODEL).version, registry.challenger(MODEL)) == (1, None)  # type: ignore[union-attr]
    registered(registry, "g")
    assert registry.challenger(MODEL).version == 2  # type: ignore[union-attr]
    registry.refuse(MODEL, 2)
    assert (registry.champion(MODEL).version, registry.challenger(MODEL)) == (1, None)  # type: ignore[union-attr]


def test_generation_rises_with_every_promotion_and_roll_back_and_only_then(registry: Registry) -> None:
    registered(registry, "f")
    registered(registry, "g")
    generations = [registry.promote(MODEL, version).generation for version in (1, 1, 2, 1)]
    assert generations == [1, 1, 2, 3]


def test_promoting_an_unknown_version_names_the_known_ones(registry: Registry) -> None:
    registered(registry, "f")
    with pytest.raises(StateError, match="one of 1; found 7"):
        registry.promote(MODEL, 7)


def test_a_spark_pipeline_comes_back_as_it_was(registry: Registry, spark: SparkSession) -> None:
    frame = spark.range(3)
    model = Pipeline(stages=[SQLTransformer(statement="SELECT id, id * 2 AS twice FROM __THIS__")]).fit(frame)
    with registry.training_run(MODEL, params={}, fingerprint="f") as run:
        run.log_model(model, "model")
        version = registry.register(MODEL, run, "model")
    assert registry.load_spark_model(version).transform(frame).collect() == model.transform(frame).collect()


def test_a_copied_home_reads_its_own_files_and_writes_none_into_the_first(registry: Registry, tmp_path: Path) -> None:
    registered(registry, "f")
    copied = Registry(Path(shutil.copytree(registry.folder, tmp_path / "copy")))
    before = sorted(registry.folder.rglob("*.json"))
    registered(copied, "g")
    assert sorted(registry.folder.rglob("*.json")) == before
    assert [v.folder.is_relative_to(copied.folder) for v in copied.versions(MODEL)] == [True, True]


def test_a_damaged_database_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database " * 100)
    with pytest.raises(StateError, match="the model registry cannot be used"):
        Registry(tmp_path).versions(MODEL)


def test_the_store_is_a_plain_sqlite_file(registry: Registry) -> None:
    registered(registry, "f")
    with sqlite3.connect(registry.folder / "mlflow.db") as database:
        assert database.execute("select name from registered_models").fetchall() == [(MODEL,)]
