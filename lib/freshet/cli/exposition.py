"""The stream's metrics in the text format of Prometheus, served on a loopback port."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from freshet.core.errors import InputError
from freshet.tables.lookups.stream_progress import JobProgress, stream_progress

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_GAUGES = {
    "seconds": ("batch_seconds", "Seconds that the newest micro-batch took until its rows could be read."),
    "latency_p50_s": ("latency_p50_seconds", "Median time from receipt of an event to its list, newest micro-batch."),
    "latency_p95_s": ("latency_p95_seconds", "95th percentile of that time."),
    "touched_shoppers": ("touched_shoppers", "Shoppers with new events in the newest micro-batch."),
    "unknown_items": ("unknown_items", "History entries with items unknown to the model, newest micro-batch."),
    "state_shoppers": ("state_shoppers", "Shoppers in the state."),
    "backlog": ("backlog_records", "Records waiting in the topic before the newest micro-batch."),
    "batch_id": ("batch", "Number of the newest micro-batch."),
}

_COUNTERS = {
    "batches": "Micro-batches of the query whose metrics are still kept.",
    "input": "Records read.",
    "accepted": "Records that became events.",
    "lists": "Lists written.",
}


def metrics_text(jobs: list[JobProgress]) -> str:
    """Every metric by job, in the text format of Prometheus. Null values are left out."""
    lines: list[str] = []
    for column, (name, meaning) in _GAUGES.items():
        lines += _metric(name, "gauge", meaning, {job.job: job.newest[column] for job in jobs})
    finished = {job.job: job.newest["finished_at"].timestamp() for job in jobs}
    lines += _metric("finished_timestamp_seconds", "gauge", "When the newest micro-batch ended.", finished)
    for name, meaning in _COUNTERS.items():
        lines += _metric(f"{name}_total", "counter", meaning, {job.job: getattr(job, name) for job in jobs})
    return "\n".join([*lines, ""])


def _metric(name: str, kind: str, meaning: str, values: dict[str, float | None]) -> list[str]:
    known = {job: value for job, value in values.items() if value is not None}
    if not known:
        return []
    full = f"freshet_stream_{name}"
    return [f"# HELP {full} {meaning}", f"# TYPE {full} {kind}",
            *[f'{full}{{job="{job}"}} {value:.17g}' for job, value in known.items()]]  # fmt: skip


@contextmanager
def serve_metrics(warehouse: Path, port: int | None) -> Iterator[int | None]:
    """Serves /metrics on 127.0.0.1 until the block ends and yields the port; does nothing if `port` is None.

    Raises InputError if the port is in use.
    """
    if port is None:
        yield None
        return

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server requires
            if self.path != "/metrics":
                self.send_error(404)
                return
            body = metrics_text(stream_progress(warehouse)).encode()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Does not log requests to the terminal."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise InputError(f"the port cannot be used: {error.strerror}", where=f"--metrics-port {port}") from None
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
