"""The batch's lists: written by the workers, in one commit, next to what only a compaction holds."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import to_arrow_type

from freshet.contracts import RECOMMENDATIONS
from freshet.contracts.models import LIST_ITEM, PAGE
from freshet.contracts.shoppers import HISTORY
from freshet.core.errors import ContractError
from freshet.service.compaction.list_table import newer_stream_lists, write_lists
from freshet.tables.format.kept_rows import Keeper, Work
from freshet.tables.warehouse import Warehouse
from tests.factories import local_frame, moment
from tests.streaming.compacted_shop import Shop, files_of
from tests.streaming.test_latest import stream_list

pytestmark = pytest.mark.streaming

CLOCK = moment("2020-02-05")
FACTS: dict[str, Any] = {
    "generated_at": moment("2020-02-09 10:00"), "event_clock": CLOCK, "generation": 3, "model_version": "3.0",
    "source": "batch",
}  # fmt: skip
USERS = [f"{n * 7919 % 100:02}" for n in range(100)]


PLACEMENTS: list[dict[str, Any]] = [
    {"placement": "session", "about_item_id": None,
     "items": [{"position": 1, "item_id": "all", "score": 0.5, "reason": "taste"}]},
    {"placement": "goes_with", "about_item_id": "all", "items": []},
]  # fmt: skip


def as_they_were(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A stand-in for scoring: what was had is what is listed, with as much score as it has places; two at a time."""
    for batch in batches:
        made = [
            {
                "user_id": row["user_id"],
                "items": [
                    {"position": n, "item_id": item, "score": 1.0 / n, "reason": "bought_before"}
                    for n, item in enumerate(row["history_item_id"] or [], start=1)
                ],
                "propensities": [1.0, 0.25],
                "placements": PLACEMENTS,
                "list_key": f"key of {row['user_id']}",
            }
            for row in batch.to_pylist()
        ]
        entry = pa.struct(
            {"position": pa.int32(), "item_id": pa.string(), "score": pa.float64(), "reason": pa.string()}
        )
        schema = pa.schema({
            "user_id": pa.string(), "items": pa.list_(entry), "propensities": pa.list_(pa.float64()),
            "placements": to_arrow_type(PAGE), "list_key": pa.string(),
        })  # fmt: skip
        for start in range(0, len(made), 2):
            yield pa.RecordBatch.from_pylist(made[start : start + 2], schema)


def coded(every: int) -> Work:
    """`as_they_were`, of some lists with reasons as codes."""

    def made(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number, lists in enumerate(as_they_were(batches)):
            kind = lists.schema.field("items").type.value_type
            fields = [
                field.with_type(pa.dictionary(pa.int8(), pa.string())) if field.name == "reason" else field
                for field in kind
            ]
            items = lists.column("items").cast(pa.list_(pa.struct(fields)))
            yield lists if number % every else lists.set_column(1, "items", items)

    return made


def written(
    spark: SparkSession, warehouse: Warehouse, users: list[str | None] | list[str], listing: Work = as_they_were,
    facts: dict[str, Any] = FACTS, **how: Any,
) -> int:  # fmt: skip
    """`write_lists` of shoppers who all had an item of their own and one that everybody had."""
    rows = [
        {"user_id": user, "history": [(CLOCK, 1, f"i{user}", "purchase", None), (CLOCK, 2, "all", "purchase", None)]}
        for user in users
    ]
    frame = local_frame(spark, f"user_id string, history {HISTORY.simpleString()}", rows).repartition(4)
    histories = Keeper(Path(warehouse.path(RECOMMENDATIONS)).parent.parent / "kept").kept(frame)
    newer = newer_stream_lists(warehouse, generation=3, clock=CLOCK)
    return write_lists(warehouse, histories, listing, facts, newer=newer, **how)


def test_rows_are_as_the_contract_has_them(spark: SparkSession, warehouse: Warehouse) -> None:
    for _ in range(2):
        assert written(spark, warehouse, USERS) == 100
        found = warehouse.read(RECOMMENDATIONS)
        assert found.schema["items"].dataType.elementType == LIST_ITEM
        rows = {row["user_id"]: row.asDict(recursive=True) for row in found.collect()}
        assert sorted(rows) == sorted(USERS)
        assert rows["07"] == {
            "user_id": "07", **FACTS,
            "items": [
                {"position": 1, "item_id": "i07", "score": 1.0, "reason": "bought_before"},
                {"position": 2, "item_id": "all", "score": 0.5, "reason": "bought_before"},
            ],
            "recommendation_id": "3.0-key of 07", "propensities": [1.0, 0.25], "placements": PLACEMENTS,
        }  # fmt: skip


@pytest.mark.parametrize("every", [1, 2])
def test_reasons_may_come_as_codes_also_of_some_lists_alone(
    spark: SparkSession, warehouse: Warehouse, every: int
) -> None:
    assert written(spark, warehouse, USERS, coded(every), per_file=20) == 100
    rows = warehouse.read(RECOMMENDATIONS).collect()
    assert sorted(row["user_id"] for row in rows) == sorted(USERS)
    for row in rows:
        assert [item["item_id"] for item in row["items"]] == [f"i{row['user_id']}", "all"]
        assert {item["reason"] for item in row["items"]} == {"bought_before"}


@pytest.mark.parametrize(("per_file", "files"), [(20, (4, 6)), (100, (1, 1)), (1, (60, 100))])
def test_one_shopper_lies_in_one_file(
    spark: SparkSession, warehouse: Warehouse, per_file: int, files: tuple[int, int]
) -> None:
    assert written(spark, warehouse, USERS, per_file=per_file) == 100
    fewest, most = files
    assert fewest <= files_of(warehouse, USERS) <= most


def test_nobody_has_a_list_where_there_are_no_shoppers(spark: SparkSession, warehouse: Warehouse) -> None:
    written(spark, warehouse, USERS)
    assert written(spark, warehouse, []) == 0
    assert warehouse.read(RECOMMENDATIONS).count() == 0


def test_a_new_batch_keeps_what_only_a_compaction_holds(shop: Shop) -> None:
    fresh = stream_list("fresh", "stream", "2020-02-08", batch=1, generation=3)
    newcomer = stream_list("newcomer", "stream", "2020-02-08", batch=1, generation=3)
    before = stream_list("before", "stream", "2020-02-02", batch=1, generation=3)
    gone = stream_list("gone", "stream", "2020-02-02", batch=1, generation=3)
    older = stream_list("older", "stream", "2020-02-09", batch=1, generation=2)
    shop.batch(fresh, newcomer, before, gone, older)
    shop.compacted()
    assert written(shop.spark, shop.warehouse, ["fresh", "before", "older"]) == 4
    rows = {row["user_id"]: row for row in shop.warehouse.read(RECOMMENDATIONS).collect()}
    assert {user: row["source"] for user, row in rows.items()} == {
        "fresh": "stream", "newcomer": "stream", "before": "batch", "older": "batch",
    }  # fmt: skip
    assert rows["fresh"]["items"][0]["item_id"] == "stream"
    assert rows["fresh"]["event_clock"] == moment("2020-02-08")


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        (
            {"source": "nobody", "generation": -1},
            r"(?s)generation must be .+: 100 rows break this.+source .+: 100 rows",
        ),
        ({"users": [*USERS, None]}, r"user_id must be not null: 1 rows break this"),
        ({"users": [*USERS, "07"]}, r"key \(user_id\) must be unique: 1 keys are repeated"),
    ],
)
def test_rows_that_break_rules_leave_the_table_and_its_folder_as_they_were(
    spark: SparkSession, warehouse: Warehouse, changed: dict[str, Any], complaint: str
) -> None:
    written(spark, warehouse, USERS)
    folder = Path(warehouse.path(RECOMMENDATIONS))
    before = warehouse.version(RECOMMENDATIONS), sorted(folder.glob("*.parquet"))
    facts = dict(changed)
    users = facts.pop("users", USERS)
    with pytest.raises(ContractError, match=complaint):
        written(spark, warehouse, users, facts={**FACTS, **facts}, per_file=20)
    assert (warehouse.version(RECOMMENDATIONS), sorted(folder.glob("*.parquet"))) == before


@pytest.mark.parametrize("has_newer", [False, True])
def test_anonymous_shoppers_have_a_list_if_they_were_active_lately(shop: Shop, has_newer: bool) -> None:
    if has_newer:
        shop.batch(stream_list("fresh", "stream", "2020-02-08", batch=1, generation=3))
        shop.compacted()
    users = ["01", "anon:1", *(["fresh"] if has_newer else [])]
    for since, listed in (
        (CLOCK, users),
        (CLOCK + timedelta(microseconds=1), [user for user in users if user != "anon:1"]),
    ):
        assert written(shop.spark, shop.warehouse, users, active_since=since) == len(listed)
        assert {row["user_id"] for row in shop.warehouse.read(RECOMMENDATIONS).collect()} == set(listed)


def test_a_table_with_features_of_its_own_is_written_by_spark(spark: SparkSession, warehouse: Warehouse) -> None:
    written(spark, warehouse, USERS)
    path = warehouse.path(RECOMMENDATIONS)
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = true)")
    spark.sql(f"DELETE FROM delta.`{path}` WHERE user_id = '07'")
    for listing in (as_they_were, coded(2)):
        assert written(spark, warehouse, USERS[:50], listing, per_file=20) == 50
        rows = warehouse.read(RECOMMENDATIONS).collect()
        assert {row["user_id"] for row in rows} == set(USERS[:50])
        assert {item["reason"] for row in rows for item in row["items"]} == {"bought_before"}
