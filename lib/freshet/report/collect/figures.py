"""The parts of the report that hold figures, from records of steps and small tables."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from freshet.contracts import EVALUATION_RESULTS, SEGMENT_PROFILES, STREAM_METRICS, USER_SCORES
from freshet.report.collect.sources import EVERYTHING, Sources, equals
from freshet.report.content import Batch, Bin, Figure, Live, Missing, Propensity, Quality, RunWindows, Segment, Segments
from freshet.runs.registered_models import SEGMENTS
from freshet.runs.steps import EVALUATE, PROMOTE, REPLAY, TRAIN_PROPENSITY, TRAIN_SEGMENTS
from freshet.service.lists.live_replay import query_id

_LIST_TASKS = ("next_baskets", "new_items")
_FIGURE = ("task", "model", "metric", "k", "value", "low", "high", "users")
_MANY = 100_000  # far above the figures of one run or the micro-batches of one query, which are some hundreds


def _figures(rows: Iterable[dict[str, Any]]) -> tuple[Figure, ...]:
    figures = [Figure(**{name: row[name] for name in _FIGURE}) for row in rows]
    return tuple(sorted(figures, key=lambda f: (f.task, f.model, f.metric, f.k)))


def _of_run(sources: Sources, run_id: str) -> tuple[Figure, ...]:
    return _figures(sources.rows(EVALUATION_RESULTS, _FIGURE, equals("run_id", run_id), _MANY))


def _quality(figures: Iterable[Figure], ours: str, protocol: str | None) -> Quality | None:
    """The figures of lists, next baskets first; None if no shopper was judged."""
    known = [figure for figure in figures if figure.task in _LIST_TASKS]
    known.sort(key=lambda figure: _LIST_TASKS.index(figure.task))
    return Quality(tuple(known), ours, protocol) if known else None


def tested_quality(sources: Sources) -> Quality | Missing:
    """Served lists and baselines on the test days."""
    record = sources.record(EVALUATE)
    if isinstance(record, Missing):
        return record
    found = _quality(_figures(record.get("figures", [])), "served", record.get("protocol"))
    return found or Missing("no shopper of the test days could be judged")


def validation_quality(sources: Sources) -> Quality | Missing:
    """Challenger, champion and baselines on the validation days."""
    record = sources.record(PROMOTE)
    if isinstance(record, Missing):
        return record
    found = _quality(_of_run(sources, record["fingerprint"]), "challenger", record.get("protocol"))
    return found or Missing("no lists were judged on the validation days")


def live_part(sources: Sources, windows: RunWindows | Missing) -> Live | Missing:
    """The replayed days: the stream's record, its micro-batches and its figures."""
    record = sources.record(REPLAY)
    if isinstance(record, Missing):
        return record
    if isinstance(windows, Missing):
        return windows
    columns = ("batch_id", "event_clock", "touched_shoppers", "lists", "seconds")
    rows = sources.rows(STREAM_METRICS, columns, equals("query_id", query_id(record["fingerprint"])), _MANY)
    if not rows:
        return Missing("nothing happened in the replayed days")
    return Live(
        batches=tuple(
            Batch(row["batch_id"], row["event_clock"], row["touched_shoppers"], row["lists"], row["seconds"])
            for row in sorted(rows, key=lambda row: row["batch_id"])
        ),
        lists=record.get("lists", 0),
        unknown_items=record.get("unknown_items", 0),
        seconds_p50=record.get("seconds_p50"),
        seconds_p95=record.get("seconds_p95"),
        figures=tuple(f for f in _of_run(sources, record["fingerprint"]) if f.task == "live"),
    )


def segments(sources: Sources) -> Segments | Missing:
    """The profiles of the served segments, by falling value."""
    record = sources.record(TRAIN_SEGMENTS)
    version = sources.served_version(SEGMENTS, TRAIN_SEGMENTS)
    columns = (
        "segment_id",
        "segment_name",
        "size",
        "recency_days",
        "orders",
        "monetary",
        "tenure_days",
        "items_breadth",
    )
    rows = [] if version is None else sources.rows(SEGMENT_PROFILES, columns, equals("model_version", version), _MANY)
    if not rows:
        return record if isinstance(record, Missing) else Missing("no segment model serves")
    profiles = [
        Segment(row["segment_name"], row["size"], *[row[name] for name in columns[3:]])
        for row in sorted(rows, key=lambda row: row["segment_id"])
    ]
    metrics = {} if isinstance(record, Missing) else record.get("metrics", {})
    return Segments(tuple(profiles), sources.currency(), metrics.get("silhouette"))


def propensity(sources: Sources) -> Propensity | Missing:
    """The quality of the purchase probability, from the record of its training step."""
    record = sources.record(TRAIN_PROPENSITY)
    if isinstance(record, Missing):
        return record
    bins = tuple(
        Bin(row["low"], row["high"], row["n"], row["mean_predicted"], row["observed_share"])
        for row in record.get("calibration", [])
    )
    scored = sources.rows(USER_SCORES, ("horizon_days",), EVERYTHING, 1)
    test_cut = record.get("test_cut")
    return Propensity(
        metrics={name: value for name, value in record.get("metrics", {}).items() if value is not None},
        bins=bins,
        test_cut=None if test_cut is None else datetime.fromisoformat(test_cut),
        horizon_days=scored[0]["horizon_days"] if scored else None,
        shoppers=sum(one.n for one in bins),
    )
