"""Adds events to the store of histories and finds who has logged in and whose list is due."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from freshet.contracts.shoppers import ANONYMOUS_PREFIX
from freshet.core.errors import StateError
from freshet.ranking.histories.packed_histories import TIME, microseconds
from freshet.service.lists import logins
from freshet.service.lists.history_store import HistoryStore
from freshet.service.lists.logins import Run


@dataclass(frozen=True)
class Touched:
    """The number of shoppers that a micro-batch touched, anonymous ids included, and the shoppers whose lists are due.

    `due`: (user_id, newest_received_time), the newest receipt among the micro-batch's events that cause the list.
    """

    shoppers: int
    due: pa.Table


def load_history(store: HistoryStore, events: pa.Table) -> None:
    """Adds earlier STREAM_EVENT rows, in which sessions have joined their customers already."""
    with store.transaction():
        own = events.filter(pc.is_valid(events.column("item_id")))
        store.add(own.column("user_id"), store.packed(own))
        new = _logins_of(events)
        before = store.logins(list(new))
        store.keep_logins(
            {session: logins.written(logins.runs_with(logins.read(before.get(session)), logged_in))
             for session, logged_in in new.items()}
        )  # fmt: skip
        store.note(newest=_newest(events))


def apply_events(store: HistoryStore, events: pa.Table, batch: int) -> Touched:
    """Adds the STREAM_EVENT rows of a micro-batch; sessions that log in join their customers.

    A list is due for every shopper with an entry in the micro-batch, and for a customer who logs in; not for an
    anonymous id whose newest event is a login. A repeated call changes nothing and returns the same.
    Raises StateError when micro-batches before this one are missing.
    """
    if batch > store.batch + 1:
        raise StateError(
            "the histories of the stream are behind its checkpoint, as after a loss of power",
            expected=f"micro-batch {batch - 1}", found=f"micro-batch {store.batch}",
            do="Start over with --rebuild: nothing is lost or doubled",
        )  # fmt: skip
    with store.transaction():
        own = events.filter(pc.is_valid(events.column("item_id")))
        packed = store.packed(own)
        logged_in = _logins_of(events)
        runs = _join_sessions(store, own, packed, logged_in)
        store.add(own.column("user_id"), packed)
        store.note(batch=max(batch, store.batch), newest=_newest(events))
    return _touched(store, events, own, logged_in, runs)


_NOTHING: NDArray[np.int64] = np.empty((0, 4), np.int64)


def _newest(events: pa.Table) -> int | None:
    newest = pc.max(microseconds(events.column("event_time"))).as_py()
    return None if newest is None else int(newest)


def _logins_of(events: pa.Table) -> dict[str, list[Run]]:
    """Per anonymous id its logins in rising order, only the last of several consecutive ones by one customer."""
    logged_in = events.filter(pc.is_valid(events.column("session")))
    logged_in = logged_in.sort_by([(name, "ascending") for name in ("session", "event_time", "user_id")])
    session, customer = logged_in.column("session"), logged_in.column("user_id")
    codes = [pc.dictionary_encode(one).combine_chunks().indices.to_numpy() for one in (session, customer)]
    is_last = np.append(np.logical_or(*(np.diff(code) != 0 for code in codes)), True)[: logged_in.num_rows]
    last = logged_in.filter(pa.array(is_last, pa.bool_()))
    moments = microseconds(last.column("event_time")).to_pylist()
    found: dict[str, list[Run]] = {}
    for name, moment, who in zip(
        last.column("session").to_pylist(), moments, last.column("user_id").to_pylist(), strict=True
    ):
        found.setdefault(name, []).append((moment, who))
    return found


def _join_sessions(
    store: HistoryStore, own: pa.Table, packed: NDArray[np.int64], logged_in: dict[str, list[Run]]
) -> dict[str, list[Run]]:
    """The runs of the anonymous ids in the micro-batch. Entries that a new login covers are added to the customer's
    history.

    Called before the new entries are added, which might displace those that have to join.
    """
    new = _by_session(own, packed)
    sessions = sorted({*logged_in, *new})
    if not sessions:
        return {}
    kept = store.logins(sessions)
    before = {session: logins.read(kept.get(session)) for session in sessions}
    after = {session: logins.runs_with(before[session], logged_in.get(session, ())) for session in sessions}
    store.keep_logins({one: logins.written(runs) for one, runs in after.items() if runs != before[one]})
    known = [session for session in sessions if after[session]]
    earlier = store.histories(known)
    ends = np.cumsum(earlier.lengths)
    customers: list[str] = []
    rows: list[NDArray[np.int64]] = []
    for session, first, last in zip(known, ends - earlier.lengths, ends, strict=True):
        since = before[session][-1][0] if before[session] else -(2**63)
        old = earlier.entries[first:last]
        entries = np.concatenate([old[old[:, TIME] > since][::-1], new.get(session, _NOTHING)])
        owners = logins.customers_at(after[session], entries[:, TIME])
        owned = [n for n, owner in enumerate(owners) if owner is not None]
        customers.extend(str(owners[n]) for n in owned)
        rows.append(entries[owned])
    if customers:
        store.add(pa.array(customers, pa.string()), np.concatenate(rows))
    return after


def _by_session(own: pa.Table, packed: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """The entries of each anonymous id."""
    places = np.flatnonzero(pc.starts_with(own.column("user_id"), ANONYMOUS_PREFIX).to_numpy())
    found: dict[str, list[int]] = {}
    for session, place in zip(own.column("user_id").take(pa.array(places)).to_pylist(), places.tolist(), strict=True):
        found.setdefault(session, []).append(place)
    return {session: packed[mine] for session, mine in found.items()}


def _touched(
    store: HistoryStore, events: pa.Table, own: pa.Table, logged_in: dict[str, list[Run]], runs: dict[str, list[Run]]
) -> Touched:
    named = pc.unique(own.column("user_id")).to_pylist()
    customers = sorted({customer for runs_of_one in logged_in.values() for _, customer in runs_of_one} - set(named))
    sessions = [user for user in named if user.startswith(ANONYMOUS_PREFIX)]
    looked_up = store.newest_times([*sessions, *customers])
    is_known = {one for one in sessions if runs.get(one) and runs[one][-1][0] >= looked_up[one]}
    due = sorted({*named, *(customer for customer in customers if customer in looked_up)} - is_known)
    return Touched(len({*named, *customers, *logged_in}), _with_receipt(events, due))


def _with_receipt(events: pa.Table, due: Sequence[str]) -> pa.Table:
    received = events.select(["user_id", "received_time"]).group_by("user_id").aggregate([("received_time", "max")])
    places = pc.index_in(pa.array(due, pa.string()), value_set=received.column("user_id").combine_chunks())
    moments = received.column("received_time_max").take(places)
    return pa.table({"user_id": pa.array(due, pa.string()), "newest_received_time": moments})
