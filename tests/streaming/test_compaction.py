"""Compaction: at every phase and for every reader the newest list of each shopper."""

from datetime import datetime
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from freshet.contracts import RECOMMENDATION_UPDATES, RECOMMENDATIONS
from freshet.core.errors import ContractError
from freshet.service.compaction.list_merge import merge_lists
from freshet.service.compaction.list_table import write_lists_by_spark
from freshet.tables.leases import lease
from freshet.tables.maintenance.parameters import CompactionParameters
from freshet.tables.maintenance.upkeep import Upkeep
from freshet.tables.warehouse import Warehouse
from tests.factories import frame
from tests.streaming.compacted_shop import PARAMETERS, Shop, files_of
from tests.streaming.test_latest import CUT, batch_list, stream_list

pytestmark = pytest.mark.streaming


def test_readers_see_the_newest_lists_at_every_phase(shop: Shop) -> None:
    for _ in range(3):
        shop.batch()
        shop.batch()
        assert shop.newest() == shop.expected()
        opened = shop.warehouse.version(RECOMMENDATIONS)
        ended = shop.compaction.advance()
        shop.batch()  # while the merge runs
        assert shop.newest() == shop.expected()
        shop.compaction.merge(ended)
        assert shop.newest() == shop.expected()
        shop.compaction.drop()
        shop.compaction._tidy(1)
        assert shop.newest() == shop.expected()
        # One who opened the lists before the merge and the updates after the drop.
        assert shop.newest(opened) == shop.expected()
    assert {row["epoch"] for row in shop.warehouse.read(RECOMMENDATION_UPDATES).collect()} == {2, 3}


def test_a_restart_goes_on_with_the_highest_epoch_of_the_table(shop: Shop) -> None:
    assert shop.compaction.epoch == 0
    for _ in range(3):
        shop.batch()
        shop.compaction.advance()
    shop.batch()
    assert shop.compaction.epoch == 3
    assert shop.started().epoch == 3


def test_a_list_of_an_older_generation_never_wins(shop: Shop) -> None:
    shop.batch(stream_list("swapped", "new model", CUT, batch=1, generation=5))
    shop.compacted()
    shop.batch(stream_list("swapped", "old model", "2020-02-09", batch=2, generation=4))
    shop.compacted()
    shop.compacted()
    assert shop.newest()["swapped"] == ("new model", 5)


def test_files_stay_few_over_many_batches(shop: Shop) -> None:
    shop.started(pack_from_files=4, vacuum_hours=0)
    most = 0
    for _ in range(20):
        shop.batch()
        shop.clock.later(2)
        shop.compaction.between_batches()
        shop.compaction.close()
        most = max(most, shop.files())
    assert most <= 8  # three epochs of five batches would be 15
    shop.clock.later(10)
    shop.compaction.between_batches()
    shop.compaction.close()
    shop.clock.later(10)
    shop.compaction.between_batches()
    assert shop.files() == 0  # a quiet stream leaves nothing for readers to open
    assert shop.newest() == shop.expected()
    folders = [folder.name for folder in Path(shop.warehouse.path(RECOMMENDATION_UPDATES)).glob("epoch=*")]
    assert folders == []
    live = len(DeltaTable(shop.warehouse.path(RECOMMENDATIONS)).file_uris())
    assert len(list(Path(shop.warehouse.path(RECOMMENDATIONS)).glob("*.parquet"))) == live


def test_a_compaction_runs_in_the_background_of_batches_and_reports(shop: Shop) -> None:
    shop.batch()
    assert not shop.compaction.due(shop.clock())
    shop.clock.later(10)
    assert shop.compaction.due(shop.clock())
    assert shop.compaction.between_batches() is None
    assert not shop.compaction.due(shop.clock())
    assert shop.compaction.epoch == 1
    shop.batch()
    report = shop.compaction.close()
    assert report is not None
    first = {row["user_id"] for row in shop.made if row.get("epoch", 0) == 0}
    assert (report.epoch, report.merged, report.files_dropped) == (0, True, 0)
    assert report.lists == len(first)
    assert shop.newest() == shop.expected()


def test_lists_wait_no_longer_for_a_restart(shop: Shop) -> None:
    shop.clock.time = datetime(2000, 1, 1)  # the file is of today
    shop.batch()
    assert not shop.started().due(shop.clock())
    shop.clock.time = datetime(2999, 1, 1)
    assert shop.started().due(shop.clock())


def test_lists_in_use_are_left_for_the_next_round(shop: Shop) -> None:
    shop.batch()
    before = shop.warehouse.version(RECOMMENDATIONS)
    with lease(shop.home.locks, "table", "recommendations"):
        shop.compaction.start()
        report = shop.compaction.close()
    assert report is not None
    assert not report.merged
    assert shop.warehouse.version(RECOMMENDATIONS) == before
    shop.batch()
    shop.compaction.start()
    report = shop.compaction.close()
    assert report is not None
    assert (report.merged, report.epoch, report.files_dropped) == (True, 1, 0)
    assert shop.newest() == shop.expected()


def test_an_error_of_the_merge_ends_the_stream(shop: Shop) -> None:
    shop.batch()
    DeltaTable(shop.warehouse.path(RECOMMENDATIONS)).alter.add_columns(
        [*DeltaTable(shop.warehouse.path(RECOMMENDATION_UPDATES)).schema().fields][1:2]
    )
    shop.compaction.start()
    with pytest.raises(ContractError, match="query_id"):
        shop.compaction.close()
    assert shop.compaction.drop() == 0


@pytest.mark.parametrize("merged", [False, True], ids=["spark", "compaction"])
def test_one_shopper_lies_in_one_file(spark: SparkSession, warehouse: Warehouse, merged: bool) -> None:
    users = [f"{n * 7919 % 100:02}" for n in range(100)]
    rows = frame(spark, RECOMMENDATIONS, [batch_list(user, "item") for user in users]).repartition(4)
    assert write_lists_by_spark(warehouse, rows, per_file=100 if merged else 20) == 100
    if merged:
        warehouse.create(RECOMMENDATION_UPDATES)
        assert merge_lists(warehouse.folder, up_to=0, per_file=20) == 100
    assert files_of(warehouse, users) == 5


def test_tables_of_a_stream_are_tidied_in_turns(shop: Shop) -> None:
    shop.batch()
    shop.batch()
    shop.compacted()
    parameters = CompactionParameters(**{**vars(PARAMETERS), "pack_from_files": 2, "vacuum_hours": 0})
    upkeep = Upkeep(shop.warehouse, [RECOMMENDATION_UPDATES, RECOMMENDATIONS], parameters, shop.clock)
    first = upkeep.between_batches()
    assert first is not None
    assert (first.table, first.files_packed, first.files_removed) == (RECOMMENDATION_UPDATES.name, 2, 2)
    assert upkeep.between_batches() is None
    upkeep.end_packing()
    shop.clock.later(5)
    second = upkeep.between_batches()
    assert second is not None
    assert second.table == RECOMMENDATIONS.name
    assert shop.newest() == shop.expected()


@pytest.mark.parametrize("name", ["every_minutes", "pack_from_files", "metrics_days"])
def test_parameters_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        CompactionParameters(**{**vars(PARAMETERS), name: 0})
