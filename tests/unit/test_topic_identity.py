"""A topic is the one that it was, or is refused; what has expired of it is passed over and reported."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import freshet.service.topic_feed as topic
from freshet.core.conf_files import conf_folder
from freshet.core.errors import StateError
from freshet.service.intake_streams import item_records
from freshet.service.lists.handover import EARLIEST
from freshet.service.topic_feed import Topic, check_same

pytestmark = pytest.mark.unit

MAPPING = Path(str(conf_folder().joinpath("sources", "shop_events.toml")))
FEED = Topic(MAPPING, "clicks", {}, {}, items="stock")


@pytest.fixture
def job(tmp_path: Path) -> Any:
    return SimpleNamespace(home=SimpleNamespace(sources=tmp_path / "sources"))


def broker(monkeypatch: pytest.MonkeyPatch, *, ids: str | None, first: int = 0, end: int = 9) -> None:
    """A broker whose topics have one partition, by what it answers."""
    monkeypatch.setattr(topic, "topic_id", lambda options, name: ids and f"{ids}-{name}")
    monkeypatch.setattr(topic, "begin_offsets", lambda options, name: {0: first})
    monkeypatch.setattr(topic, "end_offsets", lambda options, name: {0: end})


def test_a_topic_with_another_id_is_refused_whatever_its_length(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broker(monkeypatch, ids="one")
    check_same(job, FEED, {0: EARLIEST})
    check_same(job, FEED, {0: 9})
    check_same(job, FEED.of_items(), None)
    broker(monkeypatch, ids="two")
    for behind in ({0: 3}, None):
        with pytest.raises(StateError, match=r"created again.*id is two-clicks, that of the ingested topic one-clicks"):
            check_same(job, FEED, behind)
    with pytest.raises(StateError, match=r"topic stock: the topic was created again"):
        item_records(job, None, FEED)  # type: ignore[arg-type]  # refused before anything is read


def test_where_there_are_no_ids_a_topic_that_is_shorter_is_refused(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broker(monkeypatch, ids=None, end=2)
    check_same(job, FEED, {0: 2, 1: EARLIEST})
    check_same(job, FEED, None)
    with pytest.raises(StateError, match=r"partition 0 ends at 2, the tables continue at 3"):
        check_same(job, FEED, {0: 3})
    # A broker that has learnt to tell them: what stands now is what it was.
    broker(monkeypatch, ids="one", end=2)
    check_same(job, FEED, {0: 2})
    broker(monkeypatch, ids="two", end=2)
    with pytest.raises(StateError, match="created again"):
        check_same(job, FEED, {0: 2})


@pytest.mark.parametrize(
    ("first", "begin", "messages"), [(0, 4, []), (4, 4, []), (7, 7, ["3 records of topic clicks, "])]
)
def test_expired_records_are_passed_over_and_counted(
    monkeypatch: pytest.MonkeyPatch, first: int, begin: int, messages: list[str]
) -> None:
    broker(monkeypatch, ids=None, first=first)
    found: list[str] = []
    # Partition 1 has nothing in the tables: it begins with its oldest record, whichever that is.
    assert topic._not_expired(FEED, {0: 4, 1: EARLIEST}, found.append) == {0: begin, 1: EARLIEST}
    assert [line[:27] for line in found] == messages
