"""Old versions of models go with their files; what serves, waits, is new or may be rolled back to stays."""

import shutil
from pathlib import Path

import pytest

from freshet.registry.retention import retire, to_retire
from freshet.registry.versions import ModelVersion, Registry

pytestmark = pytest.mark.registry

MODEL = "freshet-test"


def version(number: int, generation: int = 0) -> ModelVersion:
    return ModelVersion(MODEL, number, f"r{number}", f"f{number}", Path(f"{number}"), generation)


@pytest.mark.parametrize(
    ("served", "champion", "challenger", "keep", "gone"),
    [
        ({}, None, None, 2, [1, 2, 3, 4]),
        # 3 serves after a roll-back from 5; 1 served long before.
        ({1: 1, 5: 2, 3: 3}, 3, None, 1, [1, 2, 4]),
        ({2: 1}, 2, 4, 1, [1, 3, 5]),
        ({1: 1}, 1, 6, 9, []),
    ],
)
def test_which_versions_may_go(
    served: dict[int, int], champion: int | None, challenger: int | None, keep: int, gone: list[int]
) -> None:
    versions = [version(number, served.get(number, 0)) for number in range(1, 7)]
    assert to_retire(versions, champion=champion, challenger=challenger, keep=keep) == gone


def test_retired_versions_leave_neither_files_nor_minors(tmp_path: Path) -> None:
    store = Registry(tmp_path / "mlflow")
    made = []
    for number in range(1, 5):
        with store.training_run(MODEL, params={"n": number}, fingerprint=f"f{number}") as run:
            run.log_text("{}", "scoring/recipe.json")
            made.append(store.register(MODEL, run, "scoring"))
    for number in (1, 4):
        for minor in range(1, 5):
            store.minor_folder(MODEL, number, minor).mkdir(parents=True)
            store.publish_minor(MODEL, number, minor)
    store.promote(MODEL, 2)
    store.promote(MODEL, 4)
    assert retire(store, MODEL, keep=1) == [1, 3]
    assert [known.version for known in store.versions(MODEL)] == [2, 4]
    assert [one.folder.exists() for one in made] == [False, True, False, True]
    minors = {number: [m for m in range(1, 5) if store.minor_folder(MODEL, number, m).exists()] for number in (1, 4)}
    assert minors == {1: [], 4: [3, 4]}
    champion = store.champion(MODEL)
    assert champion is not None
    assert (champion.model_version, champion.folder.is_dir()) == ("4.4", True)
    assert retire(store, MODEL, keep=1) == []


def test_a_minor_must_be_written_before_it_is_published_and_a_version_remembers_its_first(tmp_path: Path) -> None:
    store = Registry(tmp_path / "mlflow")
    with store.training_run(MODEL, params={}, fingerprint="f") as run:
        run.log_text("{}", "scoring/recipe.json")
        first = store.register(MODEL, run, "scoring")
    with pytest.raises(Exception, match="missing"):
        store.publish_minor(MODEL, 1, 1)
    shutil.copytree(first.folder, store.minor_folder(MODEL, 1, 1))
    made = store.publish_minor(MODEL, 1, 1)
    assert (first.model_version, made.model_version) == ("1.0", "1.1")
    assert made.folder == store.minor_folder(MODEL, 1, 1)
    assert store.first_folder(made) == first.folder
