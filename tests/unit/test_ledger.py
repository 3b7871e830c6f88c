"""The ledger of steps: whole records or none."""

from datetime import datetime
from pathlib import Path

import pytest

from freshet.core import records
from freshet.core.records import fingerprint, read_record, write_record


def test_fingerprint_ignores_the_order_of_keys_and_sees_every_value() -> None:
    parts = {"as_of": datetime(2020, 1, 1), "versions": {"events": 3}, "code": "0.1"}
    assert fingerprint(parts) == fingerprint(dict(reversed(parts.items())))
    others = [{**parts, "as_of": datetime(2020, 1, 2)}, {**parts, "versions": {"events": 4}}, {**parts, "more": None}]
    assert len({fingerprint(parts), *map(fingerprint, others)}) == 4


def test_a_record_is_read_back_and_replaced_whole(tmp_path: Path) -> None:
    assert read_record(tmp_path, "build") is None
    write_record(tmp_path, "build", {"fingerprint": "a", "name": "Käthe's"})
    write_record(tmp_path, "build", {"fingerprint": "b"})
    assert read_record(tmp_path, "build") == {"fingerprint": "b"}
    assert [path.name for path in tmp_path.iterdir()] == ["build.json"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_record_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    write_record(tmp_path, "build", {"fingerprint": "old"})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((records.os, "fsync") if failing == "fsync" else (Path, "replace")), full)
    with pytest.raises(OSError, match="No space left"):
        write_record(tmp_path, "build", {"fingerprint": "new"})
    assert read_record(tmp_path, "build") == {"fingerprint": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["build.json"]


def test_a_damaged_record_counts_as_a_step_that_never_finished(tmp_path: Path) -> None:
    (tmp_path / "build.json").write_text('{"fingerprint": ')
    assert read_record(tmp_path, "build") is None
    (tmp_path / "build.json").write_text("[1]")
    assert read_record(tmp_path, "build") is None
