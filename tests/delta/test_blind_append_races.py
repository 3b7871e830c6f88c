"""What another writer may do between an append's look at the log and its entry there, each at a moment of choice."""

import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from freshet.core.errors import ContractError, TransientError
from freshet.tables.warehouse import Warehouse
from freshet.tables.writers import blind_append
from freshet.tables.writers.blind_append import append_blind
from tests.delta.test_blind_appends import CONTRACT, ROWS, ids, things

pytestmark = pytest.mark.delta


@pytest.fixture
def folder(warehouse: Warehouse) -> Path:
    warehouse.create(CONTRACT)
    return Path(warehouse.path(CONTRACT))


def cleaned_up(folder: Path, *names: str) -> None:
    """Another writer: appends, writes a checkpoint and removes what the log holds from before it."""
    for name in names:
        write_deltalake(folder, things((name, "x", 0)), mode="append")
    DeltaTable(folder).create_checkpoint()
    for entry in (folder / "_delta_log").glob("*.json"):
        os.utime(entry, (1, 1))  # older than the table keeps its log
    DeltaTable(folder).cleanup_metadata()
    assert len(list((folder / "_delta_log").glob("*.json"))) < 2


def test_a_log_cleaned_up_while_the_rows_are_written_is_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_blind(folder, things(("a", "x", 0)), CONTRACT)
    write = blind_append.written_file

    def slow(*given: Any) -> Any:
        cleaned_up(folder, "b", "c", "d")
        return write(*given)

    monkeypatch.setattr(blind_append, "written_file", slow)
    assert append_blind(folder, things(("e", "x", 0)), CONTRACT) == 5
    assert ids(folder) == ["a", "b", "c", "d", "e"]


def test_a_log_cleaned_up_at_the_last_moment_ends_in_an_error_and_leaves_no_old_version(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_blind(folder, things(("a", "x", 0)), CONTRACT)
    link = blind_append.os.link

    def late(source: Any, target: Any) -> None:
        cleaned_up(folder, "b", "c", "d")
        link(source, target)

    monkeypatch.setattr(blind_append.os, "link", late)
    with pytest.raises(TransientError, match="table things: the log of the table was cleaned up"):
        append_blind(folder, things(("e", "x", 0)), CONTRACT)
    assert not (folder / "_delta_log" / f"{2:020d}.json").exists()
    monkeypatch.undo()
    assert append_blind(folder, things(("e", "x", 0)), CONTRACT) == 5
    assert ids(folder) == ["a", "b", "c", "d", "e"]


def test_an_old_version_that_others_still_hold_is_not_created_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_blind(folder, things(("a", "x", 0)), CONTRACT)
    link, log = blind_append.os.link, folder / "_delta_log"

    def late(source: Any, target: Any) -> None:
        before = log / f"{1:020d}.json"
        moment = before.stat().st_mtime_ns
        link(before, folder / "kept")
        cleaned_up(folder, "b", "c")
        # A clean-up removes in no order: here the version before is the last to go.
        (folder / "kept").rename(before)
        os.utime(before, ns=(moment, moment))
        link(source, target)

    monkeypatch.setattr(blind_append.os, "link", late)
    with pytest.raises(TransientError, match="cleaned up"):
        append_blind(folder, things(("d", "x", 0)), CONTRACT)


def test_a_commit_on_which_others_go_on_at_once_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_blind(folder, ROWS, CONTRACT)
    link = blind_append.os.link

    def early(source: Any, target: Any) -> None:
        link(source, target)
        monkeypatch.setattr(blind_append.os, "link", link)
        cleaned_up(folder, "f", "g")

    monkeypatch.setattr(blind_append.os, "link", early)
    # The second place of this entry is a folder whose name is quoted.
    assert append_blind(folder, things(("e", "x", 0), ("h", "ü/ %=+", 1)), CONTRACT) == 2
    assert append_blind(folder, things(("i", "x", 0)), CONTRACT) == 5
    assert ids(folder) == ["a", "b", "c", "d", "e", "f", "g", "h", "i"]


def test_an_entry_that_another_writer_puts_over_ours_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_blind(folder, things(("a", "x", 0)), CONTRACT)
    link = blind_append.os.link
    theirs = folder.with_name("theirs")

    def renamed_over(source: Any, target: Any) -> None:
        link(source, target)
        monkeypatch.setattr(blind_append.os, "link", link)
        shutil.copy(folder / "_delta_log" / f"{1:020d}.json", theirs)
        os.rename(theirs, target)

    monkeypatch.setattr(blind_append.os, "link", renamed_over)
    assert append_blind(folder, things(("b", "x", 0)), CONTRACT) == 3
    assert ids(folder) == ["a", "b"]


def test_a_change_of_the_columns_at_the_last_moment_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_blind(folder, things(("a", "x", 0)), CONTRACT)
    link = blind_append.os.link

    def changed(source: Any, target: Any) -> None:
        more = things(("b", "x", 0)).append_column("more", pa.array([1]))
        write_deltalake(folder, more, mode="append", schema_mode="merge")
        link(source, target)

    monkeypatch.setattr(blind_append.os, "link", changed)
    with pytest.raises(ContractError, match="more"):
        append_blind(folder, things(("c", "x", 0)), CONTRACT)
    assert ids(folder) == ["a", "b"]
