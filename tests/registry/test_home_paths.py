"""The registry lies in its home, whatever characters the home's path has."""

from pathlib import Path

import pytest

from freshet.core.errors import SetupError
from freshet.registry.store import DATABASE
from freshet.registry.versions import Registry
from freshet.runs.home import Home

pytestmark = pytest.mark.registry


@pytest.mark.parametrize("name", ["what?", "a%20b", "q?mode=ro&uri=true#x", "two words, 50% c:d;e@f"])
def test_database_and_artifacts_lie_in_the_home(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / "mlflow"
    store = Registry(folder)
    with store.training_run("freshet-test", params={"n": 1}, fingerprint="f") as run:
        run.log_text("{}", "scoring/recipe.json")
        made = store.register("freshet-test", run, "scoring")
    assert (made.folder / "recipe.json").read_text() == "{}"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [path.name for path in (tmp_path / name).iterdir()] == ["mlflow"]
    assert (folder / DATABASE).stat().st_size > 0
    # Opened anew, as by the next process.
    assert [known.version for known in Registry(folder).versions("freshet-test")] == [1]


def test_a_home_whose_path_could_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    """Of `a%20b` delta-rs makes `a b`, and Spark does not."""
    with pytest.raises(SetupError, match="escaped character"):
        Home(tmp_path / "a%20b").prepare()
    assert list(tmp_path.iterdir()) == []
    assert Home(tmp_path / "50% off?").prepare().warehouse.is_dir()
