"""What models learn from, and the cases that lists are judged on: the result of every protocol."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.contracts.events import PURCHASE
from freshet.contracts.policies import NEW_ITEMS, NEXT_BASKETS, POLICIES
from freshet.core.errors import InputError
from freshet.evaluation.ranking import entries_of
from freshet.lab.columns import raised
from freshet.lab.interactions import Interactions, places

ITEMS = pa.list_(pa.string())


def strength_event(value: float) -> str:
    """The name of the event that stands for a strength: weights belong to events, and histories hold events alone."""
    return f"strength {value!r}"


def checked_policy(policy: str) -> str:
    """Raises InputError for anything but a policy."""
    if policy not in POLICIES:
        raise InputError("there is no such policy", where="policy", expected=" or ".join(POLICIES), found=str(policy))
    return policy


def histories(
    source: Interactions, rows: NDArray[np.int64], owners: NDArray[np.int64], count: int, shifts: NDArray[np.int64]
) -> pa.ListArray:
    """list<event_time, item_id, event_name, order_id>, newest first, for `count` owners.

    `rows` of `source` with the owner of each; a row may belong to several. `shifts`: microseconds added to the times of
    each owner. A row with a strength is two entries: the event itself, and one that stands for the strength.
    """
    order = np.lexsort((-rows, -source.micros[rows], owners))
    rows, owners = rows[order], owners[order]
    lengths = np.bincount(owners, minlength=count)
    names = source.event_names.take(pa.array(rows))
    if source.has("strength"):
        texts = pa.array([strength_event(value) for value in source.values()[rows].tolist()], pa.string())
        both = np.arange(2 * len(rows)).reshape(2, -1).T.ravel()
        names = pa.concat_arrays([names, texts]).take(pa.array(both))
        rows, owners, lengths = np.repeat(rows, 2), np.repeat(owners, 2), 2 * lengths
    baskets = source.table.column("basket") if source.has("basket") else pa.array(np.arange(len(source)))
    entries = pa.StructArray.from_arrays(
        [
            pa.array(source.micros[rows] + shifts[owners]).cast(pa.timestamp("us")),
            _whole(source.table.column("item_id").take(pa.array(rows))),
            names,
            _whole(baskets.take(pa.array(rows)).cast(pa.string())),
        ],
        ["event_time", "item_id", "event_name", "order_id"],
    )
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), entries)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


@dataclass(frozen=True)
class Cases:
    """Histories with the items that followed, one row per case.

    `table`: user_id string (the user, or where a user has several cases the case's own id), history as from
    `histories`, truth list<string> of distinct items in rising order. `clock`: the moment just before the truth, to
    which ages of histories are relative. `of_train`: whether each history is the user's rows of the training part.
    """

    table: pa.Table
    clock: datetime
    of_train: bool
    user_type: pa.DataType
    item_type: pa.DataType

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def batch(self) -> pa.RecordBatch:
        """All cases as one batch."""
        whole = self.table.combine_chunks().to_batches()
        return whole[0] if whole else pa.RecordBatch.from_pylist([], self.table.schema)

    def matrix(self, items: pa.Array) -> csr_matrix:
        """float64 [cases, items]: 1 where the history has the item. `items`: texts, such as `split.train.items`."""
        owner, _, entries = entries_of(self.batch().column("history"))
        column = places(entries.field("item_id"), items)
        known = column >= 0
        made = csr_matrix((np.ones(int(known.sum())), (owner[known], column[known])), shape=(len(self), len(items)))
        made.sum_duplicates()
        made.data[:] = 1.0
        return made

    def truth(self, policy: str) -> pa.Table:
        """(user_id, items): the true items under a policy. NEW_ITEMS: without those of the history; a case whose truth
        is then empty stays, and is not judged."""
        batch = self.batch()
        truth = batch.column("truth")
        if checked_policy(policy) == NEXT_BASKETS:
            return pa.table({"user_id": batch.column("user_id"), "items": truth})
        owner, _, items = entries_of(truth)
        past_owner, _, entries = entries_of(batch.column("history"))
        known = pc.unique(items)
        had = places(entries.field("item_id"), known)
        keys = owner * (len(known) + 1) + places(items, known)
        is_had = np.isin(keys, (past_owner * (len(known) + 1) + had)[had >= 0])
        return pa.table({"user_id": batch.column("user_id"), "items": lists_by(owner[~is_had], items.filter(
            pa.array(~is_had)), len(batch))})  # fmt: skip


def lists_by(owners: NDArray[np.int64], values: pa.Array, count: int) -> pa.ListArray:
    """The values as lists of `count` owners; `owners` rise."""
    ends = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=count))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), _whole(values))


@dataclass(frozen=True)
class Split:
    """What every protocol returns: `train`, the interactions to learn from; `cases`, to judge lists on; `policy`: what
    lists may hold, NEXT_BASKETS (items may repeat) or NEW_ITEMS (they may not, and are not true then)."""

    train: Interactions
    cases: Cases
    policy: str

    @property
    def clock(self) -> datetime:
        """The moment as of which models are fitted and lists are made."""
        return self.cases.clock


def no_shift(count: int) -> NDArray[np.int64]:
    """No change of times."""
    return np.zeros(count, dtype=np.int64)


def micros_of(moment: datetime) -> int:
    """Microseconds since 1970."""
    return int(np.datetime64(moment, "us").astype(np.int64))


def hold_out(
    data: Interactions, mask: object, *, policy: str = NEW_ITEMS, clock: datetime | None = None, align: bool = False
) -> Split:
    """The split whose truth is the rows that a mask marks, the way to a protocol of one's own.

    A case is a user with rows on both sides: its history is the user's other rows, its truth the items of the marked
    ones. `clock`: by default just after the newest training row. `align`: shifts the times of each history so that the
    user's first held-out row would be at the clock, for protocols that leave out each user's last rows.

    Raises InputError for a mask of the wrong length or type, and when no user has rows on both sides.
    """
    marks = np.asarray(mask)
    train, held = data.where(~marks if marks.dtype == np.bool_ else marks), data.where(marks)
    return given_split(train, held, policy=policy, clock=clock, align=align)


def given_split(
    train: Interactions, truth: Interactions, *, history: Interactions | None = None, policy: str = NEW_ITEMS,
    clock: datetime | None = None, align: bool = False,
) -> Split:  # fmt: skip
    """The split of two tables; `history`: what lists are made from, where that is not the users' training rows.

    Users of `truth` without a history are left out. Other parameters and errors as in `hold_out`.
    """
    own = train if history is None else history
    if train.item_type != truth.item_type or own.item_type != truth.item_type:
        raised(["item ids of the parts have different types, so that none would be found again"], "split")
    users = own.users.filter(pc.is_in(own.users, value_set=truth.users))
    if not len(users):
        raised(["no user has both a history and a truth, so there is nothing to judge"], "split")
    clock = train.as_of if clock is None else clock
    held_owner, owner = (places(part.table.column("user_id"), users) for part in (truth, own))
    shifts = no_shift(len(users))
    if align and truth.has("time"):
        first = np.full(len(users), np.iinfo(np.int64).max)
        np.minimum.at(first, held_owner[held_owner >= 0], truth.micros[held_owner >= 0])
        shifts = micros_of(clock) - first
    rows = np.flatnonzero(owner >= 0)
    table = {
        "user_id": users,
        "history": histories(own, rows, owner[rows], len(users), shifts),
        "truth": distinct_items(truth, held_owner, len(users)),
    }
    cases = Cases(pa.table(table), clock, history is None, own.user_type, train.item_type)
    return Split(train, cases, checked_policy(policy))


def distinct_items(data: Interactions, owners: NDArray[np.int64], count: int) -> pa.ListArray:
    """The distinct items of each owner, in rising order; rows of owner -1 do not count."""
    kept = np.flatnonzero(owners >= 0)
    pairs = np.unique(owners[kept] * max(1, len(data.items)) + data.item_codes[kept])
    rows, codes = np.divmod(pairs, max(1, len(data.items)))
    return lists_by(rows, data.items.take(pa.array(codes)), count)


def event_weights_of(data: Interactions) -> dict[str, float]:
    """The weights of the events that stand for strengths; the event itself has none then."""
    if not data.has("strength"):
        return {PURCHASE: 1.0}
    every = np.unique(data.values()).tolist()
    return {PURCHASE: 0.0, **{strength_event(value): value for value in every}}
