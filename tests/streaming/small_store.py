"""Small stores of histories, and what is read back from them."""

from pathlib import Path
from typing import Any

import numpy as np

from freshet.ranking.histories.packed_histories import KEY
from freshet.service.lists.history_store import HistoryStore
from freshet.service.lists.history_updates import Touched
from tests.stream_rows import entry

MOST = 5


def opened(folder: Path) -> HistoryStore:
    return HistoryStore(folder / "store.db", most=MOST)


def keys(store: HistoryStore, *users: str) -> list[list[int]]:
    past = store.histories(users)
    return [part[:, KEY].tolist() for part in np.split(past.entries, np.cumsum(past.lengths)[:-1])]


def due(touched: Touched) -> list[str]:
    return touched.due.column("user_id").to_pylist()


def visit(number: int, *, device: str = "x", user: str | None = None, item: str | None = "i") -> dict[str, Any]:
    return entry(user=user, device=device, item=item, at=number, key=number)
