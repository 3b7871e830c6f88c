"""The start of the stream of lists: where it fails, nothing stays open."""

from pathlib import Path
from unittest.mock import MagicMock

import pytest

from freshet.core.errors import StateError
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.settings import load_settings
from freshet.service import list_stream
from freshet.service.lists.history_store import HistoryStore
from freshet.service.lists.initial_histories import HISTORIES

pytestmark = pytest.mark.unit

NEEDS_SPARK_OR_TABLES = (
    "Champion", "stream_session", "state_layout", "made_for", "opened_checkpoint", "list_events", "Compaction",
    "CurrentRules", "in_process_scorer", "warm_up", "Upkeep", "ItemRefresh",
)  # fmt: skip


@pytest.mark.parametrize("failing", ["started", "ItemRefresh"])
def test_a_query_that_does_not_start_leaves_nothing_open(
    failing: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubs = {name: MagicMock() for name in NEEDS_SPARK_OR_TABLES}
    stubs["query_folder"] = MagicMock(return_value=tmp_path)
    stubs[failing] = MagicMock(side_effect=StateError("Spark has no checkpoint"))
    for name, stub in stubs.items():
        monkeypatch.setattr(list_stream, name, stub)
    with pytest.raises(StateError, match="no checkpoint"):
        list_stream.started_lists(Job(MagicMock(), home, load_settings("test")), MagicMock(), lambda text: None)
    HistoryStore(tmp_path / HISTORIES, most=1).close()  # refused as long as another store has the file open
    stubs["Compaction"].return_value.end.assert_called_once_with()
    stubs["Upkeep"].return_value.end_packing.assert_called_once_with()
    stubs["CurrentRules"].return_value.close.assert_called_once_with()
