"""Quality of lists by group of shoppers, and the differences of two models by group.

`groups` is (user_id, audit, group): what shoppers are grouped by, such as "activity", and the group, at most one row
per shopper and audit. A judged shopper without a row of an audit is in its group UNKNOWN.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from freshet.evaluation.audits.groups import UNKNOWN
from freshet.evaluation.bootstrap import with_intervals
from freshet.evaluation.ranking import Figures, paired_difference

AUDITED_METRICS = ("ndcg", "hit")
"""The metrics of the per-shopper table that are given by group."""

_GROUPED = ("audit", "group")


def group_quality(judged: pa.Table, groups: pa.Table, *, samples: int, by: Sequence[str] = ()) -> Figures:
    """Rows (*by, audit, group, metric, k, value, low, high, users): means over the shoppers of each group.

    `judged` is a result of `per_user`; metrics are AUDITED_METRICS, intervals those of `with_intervals`.
    """
    grouped = in_groups(judged, groups)
    same = [*by, *_GROUPED, "user_hash", "k"]
    long = [
        grouped.select(same)
        .append_column("metric", pa.repeat(name, grouped.num_rows))
        .append_column("value", grouped[name])
        for name in AUDITED_METRICS
    ]
    return with_intervals(pa.concat_tables(long), by=[*by, *_GROUPED, "metric", "k"], samples=samples)


def group_differences(
    a: pa.Table, b: pa.Table, groups: pa.Table, *, metric: str, k: int, samples: int, by: Sequence[str] = ()
) -> Figures:
    """`paired_difference` of a minus b within each group.

    Rows (*by, audit, group, metric, k, value, low, high, users); a shopper who is missing in a or b does not count.
    """
    return paired_difference(a, in_groups(b, groups), metric=metric, k=k, samples=samples, by=[*by, *_GROUPED])


def in_groups(judged: pa.Table, groups: pa.Table) -> pa.Table:
    """The rows of `judged` once for each audit, with columns audit and group."""
    parts = []
    for audit in sorted(pc.unique(groups.column("audit")).to_pylist()):
        mine = groups.filter(pc.equal(groups.column("audit"), audit))
        place = pc.index_in(judged.column("user_id"), value_set=mine.column("user_id").combine_chunks())
        found = pc.fill_null(mine.column("group").combine_chunks().take(place.combine_chunks()), UNKNOWN)
        named = judged.append_column("audit", pa.repeat(audit, judged.num_rows))
        parts.append(named.append_column("group", found))
    if parts:
        return pa.concat_tables(parts)
    nothing = pa.array([], pa.string())
    return judged.slice(0, 0).append_column("audit", nothing).append_column("group", nothing)
