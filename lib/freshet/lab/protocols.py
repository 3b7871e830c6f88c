"""Protocols by name: how interactions become a training part and cases with a truth.

last_basket        next-basket: each user's newest basket from all earlier ones
leave_one_out      each user's newest row from all earlier ones
session_next_item  each next item of the newest sessions, from what came before it in the session
time_split         what users had from a moment on, from what they had before
random_share       a random share of the rows, within each item or user or in all
given_split        a training and a truth table of one's own

Each is a function from `Interactions` to a `Split`, and so is a protocol of one's own: choose the rows to hold out and
call `hold_out`, or make two tables and call `given_split`. A split for validation is a protocol applied to the training
part: `last_basket(split.train)`.

The pipeline's protocols (evaluation/protocols.py) judge a window of a shop that runs on; these divide a finished data
set. What they share gives the same cases: `time_split`, and `last_basket` of a window that has everybody's last basket
with visits of no length.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.contracts.policies import NEW_ITEMS, NEXT_BASKETS
from freshet.core.errors import InputError
from freshet.lab.columns import raised
from freshet.lab.interactions import Interactions, places
from freshet.lab.splits import Cases, Split, checked_policy, hold_out, lists_by, micros_of, no_shift
from freshet.lab.splits import histories as histories_of

Protocol = Callable[[Interactions], Split]
"""A protocol: those below with their parameters bound, or a function of one's own."""


def last_basket(data: Interactions, *, policy: str = NEXT_BASKETS) -> Split:
    """Truth: the items of each user's newest basket; history: all earlier rows. The next-basket protocol.

    A basket is the rows of a user with one value of column basket, or at one time. Needs column basket or time; without
    time the later row is the newer. A user with one basket has no case and only trains. Ages in a history are as of the
    user's last basket.
    """
    if not data.has("basket"):
        data.needs("time", for_what="last_basket without the column basket")
    newest = _newest_rows(data)
    held = np.zeros(len(data), dtype=np.bool_)
    if data.has("basket"):
        codes = data.table.column("basket").combine_chunks().dictionary_encode()
        codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
        basket = codes.indices.to_numpy(zero_copy_only=False)
        held |= basket == basket[newest][data.user_codes]
    if data.has("time"):
        held |= data.micros == data.micros[newest][data.user_codes]
    has_others = np.bincount(data.user_codes[~held], minlength=len(data.users)) > 0
    return hold_out(data, held & has_others[data.user_codes], policy=policy, align=True)


def leave_one_out(data: Interactions, *, policy: str = NEW_ITEMS) -> Split:
    """Truth: the item of each user's newest row; history: all earlier rows. A user with one row only trains.

    Of rows of one time, and of all rows of data without times, the later one is the newer.
    """
    held = np.zeros(len(data), dtype=np.bool_)
    newest = _newest_rows(data)
    held[newest[np.bincount(data.user_codes) > 1]] = True
    return hold_out(data, held, policy=policy, align=True)


def _newest_rows(data: Interactions) -> NDArray[np.int64]:
    """[users]: the newest row of each."""
    order = data.newest_first(data.user_codes)
    return order[np.searchsorted(data.user_codes[order], np.arange(len(data.users)))]


def time_split(data: Interactions, *, at: datetime | None = None, share: float = 0.2, policy: str = NEW_ITEMS) -> Split:
    """Truth: what users had from a moment on; training part and history: all rows before it.

    `at`: the moment (UTC without a zone, or with one); by default the newest `share` of rows is held out. Rows at the
    moment are held out. Needs column time. Cases are users with rows on both sides.
    """
    data.needs("time", for_what="time_split")
    if at is None:
        _check_share(share, "time_split")
        in_order = np.sort(data.micros)
        cut = int(in_order[min(len(data) - 1, round(len(data) * (1 - share)))])
        moment = _moment(cut)
    else:
        moment = at if at.tzinfo is None else _moment(int(at.timestamp() * 1e6))
    return hold_out(data, data.micros >= micros_of(moment), policy=policy, clock=moment)


def _moment(micros: int) -> datetime:
    return np.datetime64(micros, "us").astype(datetime)


def random_share(
    data: Interactions, *, share: float = 0.25, within: str | None = None, seed: int = 42, policy: str = NEW_ITEMS
) -> Split:
    """Truth: a random share of the rows, of all, or `within` each "item_id" or "user_id".

    Every row draws a number of NumPy's legacy generator with this seed; of each group's n rows the
    round((1 - share) n) with the lowest numbers train. With `within="item_id"` these are the rows that
    python_stratified_split of Microsoft Recommenders takes with filter_by="item".
    """
    _check_share(share, "random_share")
    groups = {None: no_shift(len(data)), "item_id": data.item_codes, "user_id": data.user_codes}
    if within not in groups:
        raise InputError("rows cannot be divided by this", where="random_share", expected="None, item_id or user_id",
                         found=str(within))  # fmt: skip
    group = groups[within]
    drawn = np.random.RandomState(seed).rand(len(data))
    order = np.lexsort((drawn, group))
    count = np.bincount(group)
    starts = np.cumsum(count) - count
    trains = np.zeros(len(data), dtype=np.bool_)
    trains[order] = np.arange(len(data)) - starts[group[order]] < np.round((1 - share) * count[group[order]])
    return hold_out(data, ~trains, policy=policy)


def session_next_item(data: Interactions, *, share: float = 0.2, policy: str = NEXT_BASKETS) -> Split:
    """Each next item of the test sessions: history is what came before it in the session, truth that item alone.

    Test sessions are the newest `share` of the sessions by their last row; all others train, with the session in place
    of the user. The case of the n-th row of a session is named session/n, from 2 on. Needs column session; rows of one
    time are in the order of the table. A test session of one row is no case (the next-item protocol of session-based
    recommenders, Ludewig and Jannach 2018).
    """
    data.needs("session", for_what="session_next_item")
    _check_share(share, "session_next_item")
    by_session = replace(data, table=_with_users(data, "session"), user_type=pa.string())
    sessions = by_session.users
    newest = _newest_rows(by_session)
    # Of sessions that end at one time, the one that ends in a later row is the newer.
    age = np.lexsort((newest, by_session.micros[newest]))
    tested = np.zeros(len(sessions), dtype=np.bool_)
    tested[age[len(sessions) - max(1, round(share * len(sessions))) :]] = True
    train = by_session.where(~tested[by_session.user_codes])
    if not len(train):
        raised(["all sessions are held out, so there is nothing to learn from"], "session_next_item")
    return Split(train, _prefixes(by_session, tested, train), checked_policy(policy))


def _with_users(data: Interactions, column: str) -> pa.Table:
    place = data.table.column_names.index("user_id")
    return data.table.set_column(place, "user_id", data.table.column(column))


def _prefixes(data: Interactions, tested: NDArray[np.bool_], train: Interactions) -> Cases:
    """The cases of `session_next_item`, session by session."""
    rows = np.flatnonzero(tested[data.user_codes])
    order = rows[np.lexsort((rows, data.micros[rows], data.user_codes[rows]))]
    lengths = np.bincount(data.user_codes[order], minlength=len(data.users))
    starts = np.cumsum(lengths) - lengths
    place = np.arange(len(order)) - starts[data.user_codes[order]]
    ends = np.flatnonzero(place > 0)  # in `order`: the row that is the truth of a case
    if not len(ends):
        raised(["no test session has two rows, so there is nothing to judge"], "session_next_item")
    owner = np.repeat(np.arange(len(ends)), place[ends])
    within = np.arange(len(owner)) - np.repeat(np.cumsum(place[ends]) - place[ends], place[ends])
    past = order[np.repeat(ends - place[ends], place[ends]) + within]
    targets = order[ends]
    shifts = micros_of(train.as_of) - data.micros[targets]
    names = data.users.take(pa.array(data.user_codes[targets])).to_pylist()
    items = data.table.column("item_id").take(pa.array(targets))
    table = {
        "user_id": pa.array([f"{name}/{n + 1}" for name, n in zip(names, place[ends], strict=True)], pa.string()),
        "history": histories_of(data, past, owner, len(ends), shifts),
        "truth": lists_by(np.arange(len(ends)), items, len(ends)),
    }
    return Cases(pa.table(table), train.as_of, False, pa.string(), data.item_type)


def _check_share(share: float, where: str) -> None:
    if not 0 < share < 1:
        raise InputError("this is no share of rows", where=where, expected="above 0 and below 1", found=f"{share}")


def users_as_cases(data: Interactions, users: pa.Array, clock: datetime) -> Cases:
    """Cases without a truth for users by name; one without rows has an empty history."""
    owner = places(data.table.column("user_id"), users)
    rows = np.flatnonzero(owner >= 0)
    nothing = lists_by(np.empty(0, dtype=np.int64), pa.array([], pa.string()), len(users))
    history = histories_of(data, rows, owner[rows], len(users), no_shift(len(users)))
    table = pa.table({"user_id": users, "history": history, "truth": nothing})
    return Cases(table, clock, True, data.user_type, data.item_type)
