"""A home with a champion, and the service that runs during a test."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS, RECOMMENDATION_UPDATES, TableContract
from freshet.core.conf_files import conf_folder
from freshet.core.records import write_record
from freshet.ranking.artifact import Artifact
from freshet.registry.versions import ModelVersion, Registry
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.registered_models import RECOMMENDER, SCORING
from freshet.runs.settings import load_settings
from freshet.service.feeds import Feed, Folder
from freshet.service.serving import PARTS, serve
from tests.artifacts import artifact, both

ITEMS = [f"i{n}" for n in range(10)]

_LOOK_SECONDS = 0.2
"""Between looks at the tables, which take the processor from what is waited for."""

QUICK = ("service.intake_seconds=0.2", "service.swap_check_seconds=0")

MAPPING = Path(str(conf_folder().joinpath("sources", "shop_events.toml")))


def shop_artifact(**changes: Any) -> Artifact:
    """Lists show what a shopper did most, then the items in order."""
    values: dict[str, Any] = {
        "terms": {"item_popular": [-0.001 * n for n in range(len(ITEMS))]},
        "weights": both(own_frequency=1.0, item_popular=1.0),
        "own_half_lives": {"own_frequency": 30.0},
        "event_weights": {"purchase": 1.0, "view_item": 0.2, "refund": -1.0, "remove_from_cart": -0.5},
    }
    return artifact(ITEMS, **{**values, **changes})


def served_job(spark: SparkSession, root: Path, *overrides: str, model: Artifact | None = None) -> Job:
    """A home in which `model` serves, and no event yet."""
    job = Job(spark, Home(root).prepare(), load_settings("test", (*QUICK, *overrides)))
    job.warehouse.create(EVENTS)
    promoted(job, model or shop_artifact(), "first")
    write_record(job.home.steps, "recommend", {"fingerprint": "none", "policy": "next_baskets"})
    return job


def promoted(job: Job, model: Artifact, fingerprint: str) -> ModelVersion:
    """`model` as the champion."""
    return promoted_in(job.home, model, fingerprint)


def promoted_in(home: Home, model: Artifact, fingerprint: str) -> ModelVersion:
    """`model` as the champion of a home."""
    store = Registry(home.mlflow)
    with store.training_run(RECOMMENDER, params={}, fingerprint=fingerprint) as run:
        model.save(home.root / "made" / fingerprint)
        run.log_folder(home.root / "made" / fingerprint, SCORING)
        version = store.register(RECOMMENDER, run, SCORING)
    return store.promote(RECOMMENDER, version.version)


@contextmanager
def running(
    job: Job, feed: Feed, parts: tuple[str, ...] = PARTS, *, notify: Callable[[str], None] = lambda _: None
) -> Iterator[Callable[[], None]]:
    """The service until the block ends; what ended it before is raised. Yields a wait for its end by itself."""
    stop, raised = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            serve(job, feed, parts, stop=stop, notify=notify)
        except BaseException as error:
            raised.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield lambda: worker.join(timeout=300)
    finally:
        stop.set()
        worker.join()
        if raised:
            raise raised[0]


def until(condition: Callable[[], bool], *, seconds: float = 120) -> None:
    """Waits for a condition; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come about"
        time.sleep(_LOOK_SECONDS)


def rows_of(job: Job, contract: TableContract, *columns: str) -> list[dict[str, Any]]:
    """The rows of a table, read without Spark; none where it has not been made yet."""
    if not job.warehouse.exists(contract):
        return []
    table = DeltaTable(job.warehouse.path(contract)).to_pyarrow_table(columns=list(columns) or None)
    return table.to_pylist()


def lists_now(job: Job) -> dict[str, list[str]]:
    """Item ids of each shopper's newest list of the stream."""
    rows = rows_of(job, RECOMMENDATION_UPDATES, "user_id", "generation", "event_clock", "epoch", "batch_id", "items")
    rows.sort(key=lambda row: (row["generation"], row["event_clock"], row["epoch"], row["batch_id"]))
    return {row["user_id"]: [item["item_id"] for item in row["items"]] for row in rows}


def click(number: int, user: str | None, item: str, **changes: object) -> dict[str, object]:
    """One event as a shop sends it; `number` is its minute."""
    row: dict[str, object] = {
        "event_id": f"e{number}", "event_name": "view_item", "user_id": user, "item_id": item,
        "event_time": f"2026-02-01T{10 + number // 60}:{number % 60:02}:00Z",
    }  # fmt: skip
    return {**row, **changes}


def put(folder: Path, name: str, *records: dict[str, object] | bytes) -> None:
    """A file of JSON lines, moved in whole as a shop would."""
    folder.mkdir(exist_ok=True)
    lines = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in records]
    part = folder / f".{name}"
    part.write_bytes(b"\n".join(lines) + b"\n")
    part.rename(folder / name)


def feed_of(folder: Path) -> Folder:
    """A folder of clicks."""
    folder.mkdir(exist_ok=True)
    return Folder(MAPPING, folder)


def taken(job: Job) -> list[str]:
    """The ids of the events taken in."""
    return sorted(row["event_id"] for row in rows_of(job, EVENTS))
