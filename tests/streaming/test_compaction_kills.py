"""A stream that is killed between the phases of a compaction: no list is lost, none doubled, readers see the newest."""

import pytest

from freshet.contracts import RECOMMENDATIONS
from tests.streaming.compacted_shop import Shop

pytestmark = pytest.mark.streaming


def after_nothing(shop: Shop) -> None:
    """Killed before the compaction began."""


def after_advance(shop: Shop) -> None:
    shop.compaction.advance()


def after_advance_and_a_batch(shop: Shop) -> None:
    shop.compaction.advance()
    shop.batch()


def after_merge(shop: Shop) -> None:
    shop.compaction.merge(shop.compaction.advance())


def after_merge_and_a_batch(shop: Shop) -> None:
    ended = shop.compaction.advance()
    shop.batch()
    shop.compaction.merge(ended)


def after_drop(shop: Shop) -> None:
    after_merge_and_a_batch(shop)
    shop.compaction.drop()


KILLS = (after_nothing, after_advance, after_advance_and_a_batch, after_merge, after_merge_and_a_batch, after_drop)


def test_a_kill_between_phases_loses_and_doubles_nothing(shop: Shop) -> None:
    shop.batch()
    shop.compacted()
    for killed in KILLS:
        shop.batch()
        killed(shop)
        shop.started()
        opened = shop.warehouse.version(RECOMMENDATIONS)
        assert shop.newest() == shop.expected(), killed.__name__
        shop.batch()
        # Nothing that only the first merge after a start has taken in may be gone already.
        assert shop.compacted() == 0, killed.__name__
        assert shop.newest() == shop.newest(opened) == shop.expected(), killed.__name__
    shop.batch()
    assert shop.compacted() > 0
    assert shop.newest() == shop.expected()
