"""Tables written by Spark's workers, file by file: the rows never become rows of the JVM.

Rows are made in the workers as Arrow batches. They are sent by range of one column, as blocks of bytes, to the tasks
that write them, a file for each range; the driver puts all files into one commit. A task that ran twice, or in vain,
leaves a file that is in no commit, which a vacuum removes.

For tables on a disk that driver and workers share, in the process that holds the table's lease.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import LongType, MapType, StringType, StructType

from freshet.contracts import TableContract
from freshet.contracts.row_rules import broken_by_arrow, in_sentences
from freshet.core.errors import ContractError, listed
from freshet.tables.format.arrow_rows import arrow_schema
from freshet.tables.format.columns import has_commit, made_or_widened, table_folder
from freshet.tables.format.data_files import check_plain, written_file
from freshet.tables.format.kept_rows import Work
from freshet.tables.writers.delta_rs import has_transaction
from freshet.tables.writers.interface import Transaction
from freshet.tables.writers.replacements import put_in, removed

_LOOKED_AT = 100
"""Sampled rows per file, from which the ends of the ranges are chosen; file sizes then differ by about a tenth."""

_ROWS_AT_ONCE = 20_000
"""Rows of a task that are cut into ranges at a time. A block of bytes has a head of 2 kB, so it should hold many."""

_RANGES_OF_A_TASK = 4
"""Ranges whose rows a task has in memory; 16 tasks of one took 9.2 s in a job of 300,000 lists, 4 of four 8.2 s."""

_BLOCKS = "range int, rows binary"
_FILES = (
    StructType().add("entry", StringType()).add("rows", LongType()).add("broken", MapType(StringType(), LongType()))
)


@dataclass(frozen=True)
class WorkerRows:
    """The rows that `work` makes from those of `given`; each file holds a range of the text column `by`, in its order,
    of about `per_file` rows.

    `by` is a column of the key, and also of `values`, where each value has about as many rows as in the result.
    """

    given: DataFrame
    work: Work
    values: DataFrame
    by: str
    per_file: int


class WorkerWriter:
    """Writes to the tables of the warehouse in `folder`, which driver and workers share. Creates a missing table.

    Raises NotPlainError if a table has features beyond plain files. If a write fails, nothing is committed and no file
    stays.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, rows: WorkerRows, *, contract: TableContract, transaction: Transaction | None = None) -> bool:
        """As TableWriter."""
        if has_commit(self.folder, contract) and has_transaction(table_folder(self.folder, contract), transaction):
            return False
        return self._write(rows, contract, mode="append", transaction=transaction) > 0

    def replace(self, rows: WorkerRows, *, contract: TableContract) -> int:
        """As TableReplacer."""
        return self._write(rows, contract, mode="overwrite", transaction=None)

    def _write(self, rows: WorkerRows, contract: TableContract, *, mode: str, transaction: Transaction | None) -> int:
        made_or_widened(self.folder, contract)
        folder = table_folder(self.folder, contract)
        table = DeltaTable(folder)
        check_plain(table)
        by, spark = rows.by, rows.given.sparkSession.sparkContext
        ends = _range_ends(rows.values, by, rows.per_file)
        blocks = rows.given.mapInArrow(_cutting(rows.work, contract, by, ends), _BLOCKS)
        ranges = len(ends) + 1
        tasks = max(min(ranges, spark.defaultParallelism), -(-ranges // _RANGES_OF_A_TASK))
        files = blocks.repartitionById(tasks, "range").mapInArrow(_writing(folder, contract, by), _FILES)
        made = files.toArrow().to_pylist()
        entries = [json.loads(file["entry"]) for file in made if file["entry"] is not None]
        broken: Counter[str] = Counter()
        for file in made:
            broken.update(dict(file["broken"]))
        if broken:
            removed(folder, entries)
            problems = in_sentences(broken, contract)
            raise ContractError(listed(problems), where=f"table {contract.name}", do="Nothing was written")
        if entries or mode == "overwrite":
            put_in(folder, table, entries, mode=mode, transaction=transaction)
        return sum(file["rows"] for file in made)


def _range_ends(values: DataFrame, by: str, per_file: int) -> list[str]:
    """The lowest values of all ranges but the first, in rising order, from a sample of the values."""
    step = max(1, per_file // _LOOKED_AT)
    seen = values.select(by).where(f"pmod(xxhash64({by}), {step}) = 0 AND {by} IS NOT NULL")
    found = sorted(seen.toArrow().column(0).to_pylist())
    ranges = -(-len(found) * step // per_file)
    return sorted({found[n * len(found) // ranges] for n in range(1, ranges)})


def _cutting(work: Work, contract: TableContract, by: str, ends: list[str]) -> Work:
    schema = arrow_schema(contract)

    def cut(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        bounds = np.array(ends, dtype=object)
        held: list[pa.RecordBatch] = []
        for batch in work(batches):
            if not batch.num_rows:
                continue
            held.append(batch)
            if sum(one.num_rows for one in held) >= _ROWS_AT_ONCE:
                yield _blocks(held, schema, by, bounds)
                held = []
        if held:
            yield _blocks(held, schema, by, bounds)

    return cut


def _blocks(batches: list[pa.RecordBatch], schema: pa.Schema, by: str, ends: NDArray[Any]) -> pa.RecordBatch:
    """(range, rows): the rows of each range as an Arrow stream."""
    rows = _joined([pa.Table.from_batches([batch]).select(schema.names) for batch in batches], schema)
    values = pc.fill_null(rows.column(by), "").to_numpy()
    ranges = np.searchsorted(ends, values, side="right")
    order = np.argsort(ranges, kind="stable")
    rows = rows.take(pa.array(order))
    found, starts = np.unique(ranges[order], return_index=True)
    stops = [*starts[1:], len(ranges)]
    blocks = [_bytes(rows.slice(start, stop - start)) for start, stop in zip(starts, stops, strict=True)]
    return pa.RecordBatch.from_arrays([pa.array(found, pa.int32()), pa.array(blocks, pa.binary())], ["range", "rows"])


def _bytes(rows: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    # A third of the bytes go through the JVM and its shuffle then: 300,000 lists took 9.8 s in all instead of 10.5.
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(rows)
    return memoryview(sink.getvalue())


def _joined(parts: list[pa.Table], schema: pa.Schema) -> pa.Table:
    """One table of this schema, but for texts in lists that are codes of a dictionary in all parts: lists of 100,000
    shoppers, with reasons as codes, took 0.39 s of a core from here to their file, with texts 0.87 s."""
    coded = pa.schema([field if _decoded(have.type) != field.type else field.with_type(have.type)
                       for field, have in zip(schema, parts[0].schema, strict=True)])  # fmt: skip
    common = coded if all(part.schema.types == parts[0].schema.types for part in parts) else schema
    return pa.concat_tables([part.cast(common) for part in parts]).combine_chunks()


def _decoded(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_decoded(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_decoded(field.type)) for field in kind])
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _writing(folder: Path, contract: TableContract, by: str) -> Work:
    schema = arrow_schema(contract)

    def written(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        ranges: defaultdict[int, list[pa.Table]] = defaultdict(list)
        for batch in batches:
            for number, block in zip(batch.column("range").to_pylist(), batch.column("rows"), strict=True):
                ranges[number].append(pa.ipc.open_stream(block.as_buffer()).read_all())
        for number in sorted(ranges):
            rows = _joined(ranges.pop(number), schema).sort_by(by)
            broken = broken_by_arrow(rows, contract)
            entry = None if broken else json.dumps(written_file(folder, rows, {}, contract))
            report = {"entry": entry, "rows": rows.num_rows, "broken": list(broken.items())}
            yield pa.RecordBatch.from_pylist([report], to_arrow_schema(_FILES))

    return written
