"""What every engine that writes tables keeps to, by one suite of tests over `ENGINES` and `REPLACERS`."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql.types import DoubleType, IntegerType, StringType, TimestampType

from freshet.contracts import Column, TableContract
from freshet.core.errors import ContractError
from freshet.tables.format.arrow_rows import arrow_schema
from freshet.tables.warehouse import Warehouse
from freshet.tables.writers.blind_append import BlindWriter
from freshet.tables.writers.delta_rs import DeltaRsWriter
from freshet.tables.writers.interface import TableReplacer, TableWriter, Transaction
from freshet.tables.writers.replacements import PartWriter
from freshet.tables.writers.spark import SparkWriter
from freshet.tables.writers.worker_files import WorkerRows, WorkerWriter
from tests.factories import SOME_MOMENT, Row

pytestmark = pytest.mark.delta

CONTRACT = TableContract(
    name="goods",
    row="one thing",
    columns=(
        Column("id", StringType(), "its id"),
        Column("at", TimestampType(), "a time", required=True),
        Column("kind", StringType(), "its kind", allowed=("a", "b")),
        Column("size", IntegerType(), "its size", minimum=0, maximum=9),
        Column("balance", DoubleType(), "a number without bounds"),
        Column("share", DoubleType(), "a number with bounds", minimum=0, maximum=1),
    ),
    key=("id",),
)


def good(name: str | None, **changes: object) -> Row:
    return {"id": name, "at": SOME_MOMENT, "kind": "a", "size": 1, "balance": -1.5, "share": 0.5, **changes}


def arrow(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=arrow_schema(CONTRACT))


def as_they_are(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


def for_workers(spark: SparkSession, rows: list[Row]) -> WorkerRows:
    frame = spark.createDataFrame(arrow(rows))
    return WorkerRows(frame, as_they_are, frame, by="id", per_file=100)


@dataclass(frozen=True)
class Engine:
    """An engine for the warehouse in a folder, and the rows of a test as it takes them."""

    make: Callable[[Path], Any]
    rows: Callable[[SparkSession, list[Row]], Any]


SPARK = Engine(SparkWriter, lambda spark, rows: spark.createDataFrame(arrow(rows)))
DELTA_RS = Engine(DeltaRsWriter, lambda spark, rows: arrow(rows))
BLIND = Engine(BlindWriter, lambda spark, rows: arrow(rows))
WORKERS = Engine(WorkerWriter, for_workers)
PARTS = Engine(PartWriter, lambda spark, rows: iter([arrow(rows)]))

ENGINES = {"spark": SPARK, "delta-rs": DELTA_RS, "blind": BLIND, "workers": WORKERS}
REPLACERS = {"spark": SPARK, "delta-rs": DELTA_RS, "workers": WORKERS, "parts": PARTS}


class Store:
    """The table of one test, and one engine that writes it."""

    def __init__(self, warehouse: Warehouse, engine: Engine) -> None:
        self.warehouse, self.engine = warehouse, engine
        warehouse.create(CONTRACT)
        self.writer: TableWriter[Any] = engine.make(warehouse.folder)

    def append(self, rows: list[Row], transaction: Transaction | None = None) -> bool:
        return self.writer.append(
            self.engine.rows(self.warehouse.spark, rows), contract=CONTRACT, transaction=transaction
        )

    def replace(self, rows: list[Row]) -> int | None:
        replacer: TableReplacer[Any] = self.engine.make(self.warehouse.folder)
        return replacer.replace(self.engine.rows(self.warehouse.spark, rows), contract=CONTRACT)

    @property
    def rows(self) -> list[Row]:
        """By a reader that shares nothing with the engines but the log."""
        table = DeltaTable(self.warehouse.path(CONTRACT)).to_pyarrow_table()
        found = table.set_column(1, "at", table.column("at").cast(pa.timestamp("us"))).to_pylist()
        return sorted(found, key=lambda row: str(row["id"]))

    @property
    def state(self) -> tuple[int, list[str]]:
        """The version, and the data files that lie there, committed or not."""
        folder = Path(self.warehouse.path(CONTRACT))
        return self.warehouse.version(CONTRACT), sorted(file.name for file in folder.rglob("*.parquet"))


@pytest.fixture(params=ENGINES)
def store(warehouse: Warehouse, request: pytest.FixtureRequest) -> Store:
    return Store(warehouse, ENGINES[request.param])


@pytest.fixture(params=REPLACERS)
def replaced(warehouse: Warehouse, request: pytest.FixtureRequest) -> Store:
    return Store(warehouse, REPLACERS[request.param])


NULLS = {"kind": None, "size": None, "balance": None, "share": None}

BROKEN = [
    ("at must be not null: 1 rows break this", [good("a"), good("b", at=None)]),
    ("id must be not null: 1 rows break this", [good("a"), good(None)]),
    ("balance must be a number: 1 rows break this", [good("a"), good("b", balance=math.nan)]),
    ("share must be 0 to 1: 2 rows break this", [good("a"), good("b", share=math.nan), good("c", share=1.5)]),
    ("size must be 0 to 9: 2 rows break this", [good("a", size=-1), good("b", size=10)]),
    ("kind must be one of a, b: 1 rows break this", [good("a"), good("b", kind="c")]),
    ("key (id) must be unique: 1 keys are repeated", [good("a"), good("b"), good("a"), good("a")]),
]
"""A broken rule in words, and rows that break it."""


def test_rows_are_read_back_as_they_were_given(store: Store) -> None:
    assert store.append([good("b", balance=0.25), good("a", **NULLS)])
    assert store.append([good("c", size=9)])
    assert store.rows == [good("a", **NULLS), good("b", balance=0.25), good("c", size=9)]


def test_a_transaction_is_written_once_and_so_is_an_older_one(store: Store) -> None:
    assert store.append([good("a")], Transaction("one", 3))
    state = store.state
    for number in (3, 2):
        assert not store.append([good("b")], Transaction("one", number))
    assert store.state == state
    assert store.append([good("c")], Transaction("other", 2))
    assert store.append([good("d")], Transaction("one", 4))
    assert [row["id"] for row in store.rows] == ["a", "c", "d"]


def test_no_rows_add_nothing(store: Store) -> None:
    store.append([good("a")])
    store.append([])
    assert store.rows == [good("a")]


def test_workers_may_make_batches_without_rows(warehouse: Warehouse) -> None:
    def with_empty(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch.slice(0, 0)
            yield batch.filter(pc.equal(batch.column("id"), "a"))

    for name, kept in (("b", []), ("a", [good("a")])):
        frame = warehouse.spark.createDataFrame(arrow([good(name)]))
        rows = WorkerRows(frame, with_empty, frame, by="id", per_file=100)
        WorkerWriter(warehouse.folder).append(rows, contract=CONTRACT)
        assert Store(warehouse, WORKERS).rows == kept


def test_broken_rows_are_refused_in_the_same_words_and_leave_no_file(store: Store) -> None:
    store.append([good("z")])
    before = store.warehouse.version(CONTRACT)
    # All at once: a write by Spark takes a while.
    for words, rows in BROKEN:
        with pytest.raises(ContractError) as refused:
            store.append(rows)
        assert (refused.value.what, refused.value.where) == (words, "table goods")
    assert store.warehouse.version(CONTRACT) == before
    assert store.rows == [good("z")]


def test_two_writers_lose_no_commit(store: Store) -> None:
    def work(name: str) -> None:
        for number in range(3):
            store.append([good(f"{name}{number}")], Transaction(name, number))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, "ab"))
    assert [row["id"] for row in store.rows] == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_a_transaction_of_one_engine_is_known_to_every_other(warehouse: Warehouse) -> None:
    stores = [Store(warehouse, engine) for engine in ENGINES.values()]
    for number, one in enumerate(stores):
        assert one.append([good(f"{number}")], Transaction("one", number))
        for other in stores:
            assert not other.append([good("again")], Transaction("one", number))
    assert [row["id"] for row in stores[0].rows] == ["0", "1", "2", "3"]


def test_a_replacement_leaves_its_rows_alone_and_may_be_repeated(replaced: Store) -> None:
    replaced.replace([good("a"), good("b")])
    for _ in range(2):
        assert replaced.replace([good("c"), good("d", **NULLS)]) in (2, None)
        assert replaced.rows == [good("c"), good("d", **NULLS)]
    replaced.replace([])
    assert replaced.rows == []


def test_broken_rows_replace_nothing(replaced: Store) -> None:
    replaced.replace([good("z")])
    before = replaced.warehouse.version(CONTRACT)
    words, rows = BROKEN[2]
    with pytest.raises(ContractError) as refused:
        replaced.replace(rows)
    assert refused.value.what == words
    assert replaced.warehouse.version(CONTRACT) == before
    assert replaced.rows == [good("z")]
