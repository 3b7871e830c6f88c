"""freshet stream: ingests events and keeps lists fresh until it is stopped."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from py4j.protocol import Py4JError

from freshet.cli.exposition import serve_metrics
from freshet.cli.opening import opened_job
from freshet.cli.options import home_option, settings_options
from freshet.cli.output import echo
from freshet.cli.supervision import run_supervised, stop_with_supervisor
from freshet.core.conf_files import conf_folder
from freshet.core.errors import InputError
from freshet.core.session import stream_master
from freshet.runs.job import Job
from freshet.runs.settings import load_settings
from freshet.service.feeds import EventsTable, Feed, Folder, check_feed
from freshet.service.serving import PARTS, forget_progress, serve
from freshet.service.table_feed import ShopTable
from freshet.service.topic_feed import Topic
from freshet.sources.kafka.java_options import spark_options
from freshet.sources.kafka.options import kafka_options

TABLE = "table:events"

_OWN_COMMAND = (sys.executable, "-c", "from freshet.cli import main; main()")


def feed_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--from and the options that go with it: where the events come from."""
    for option in reversed((
        click.option("--from", "origin", required=True, metavar="BROKERS|FOLDER|table:events",
                     help="HOST:PORT[,...] of a Kafka broker, a folder of JSON lines, the folder of a Delta table, "
                     "or table events (lists only)."),
        click.option("--topic", help="Topic of the events, JSON objects keyed by shopper."),
        click.option("--items-topic", help="Topic of changes of items (price, stock), JSON objects."),
        click.option("--source", type=click.Path(path_type=Path),
                     help="Mapping of the events.  [default: conf/sources/shop_events.toml]"),
        click.option("--rebuild", is_flag=True,
                     help="Start again from the tables, when checkpoints are lost or do not match."),
        click.option("--kafka-option", "pairs", multiple=True, metavar="KEY=VALUE", help="A setting of librdkafka."),
        click.option("--kafka-options-file", "options_file", type=click.Path(path_type=Path),
                     envvar="FRESHET_KAFKA_OPTIONS_FILE",
                     help="File with settings of librdkafka, one per line; for secrets."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.command()
@home_option
@feed_options
@click.option("--only", type=click.Choice(PARTS), help="Run only one of the two parts.")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    help="Serve metrics for Prometheus at http://127.0.0.1:PORT/metrics; 0: any free port.",
)
@click.option("--no-restart", is_flag=True, help="Exit after a crash, so that a process manager can restart it.")
@settings_options
def stream(only: str | None, metrics_port: int | None, no_restart: bool, **options: Any) -> None:
    """Ingest events and keep the lists of their shoppers fresh, until SIGTERM or Ctrl-C.

    Needs a champion: run `freshet run` first. It continues where it was stopped or killed, and restarts by itself
    after a crash. With a topic, lists are made directly from its records. A folder or a Delta table of yours, which
    must be append-only, is first ingested into table events, and lists are made from that table.

    \b
    Examples:
      freshet stream --from 127.0.0.1:9092 --topic events
      freshet stream --from clicks/ --source my_shop.toml
      freshet stream --from table:events --only lists
      freshet stream --from 127.0.0.1:9092 --topic events --items-topic items
      freshet stream --from 127.0.0.1:9092 --topic events --rebuild
    """
    parts = PARTS if only is None else (only,)
    feed = feed_from_options(options, parts)
    settings = load_settings(options["environment"], options["overrides"])
    if not no_restart:
        run_supervised([*_OWN_COMMAND, *sys.argv[1:], "--no-restart"], settings.service)
        return
    stop = stop_on_signals()
    try:
        with (
            serve_metrics(options["home"].absolute() / "warehouse", metrics_port) as port,
            opened_job(
                options["home"],
                options["environment"],
                options["overrides"],
                stream_master(options["master"]),
                needs_mlflow=True,
            ) as job,
        ):
            if port is not None:
                echo(f"freshet: metrics at http://127.0.0.1:{port}/metrics", err=True)
            run_parts(job, feed, parts, rebuild=options["rebuild"], stop=stop)
    except Py4JError:
        # A signal to the whole process group ended the JVM first; the next start continues from its checkpoint.
        if not stop.is_set():
            raise
    echo("freshet: stopped", err=True)


def feed_from_options(options: dict[str, Any], parts: tuple[str, ...]) -> Feed:
    """The feed given by the options of `feed_options`. Raises InputError if they do not go together or with `parts`,
    and TransientError if no broker answers."""
    origin, topic = options["origin"], options["topic"]
    mapping = options["source"] or Path(str(conf_folder().joinpath("sources", "shop_events.toml")))
    feed: Feed
    if origin == TABLE:
        feed = EventsTable()
    elif (Path(origin) / "_delta_log").is_dir():
        feed = ShopTable(mapping, Path(origin))
    elif Path(origin).is_dir():
        feed = Folder(mapping, Path(origin))
    elif ":" not in origin:
        raise InputError(
            "there is no such folder", where=f"--from {origin}", expected=f"a folder, HOST:PORT or {TABLE}"
        )
    elif topic is None:
        raise InputError("the topic is missing", where=f"--from {origin}", do="Name it with --topic")
    else:
        kafka = {**kafka_options(options["pairs"], options["options_file"], os.environ), "bootstrap.servers": origin}
        feed = Topic(mapping, topic, spark_options(kafka), kafka, options["items_topic"])
    for option, named in (("--topic", topic), ("--items-topic", options["items_topic"])):
        if named is not None and not isinstance(feed, Topic):
            raise InputError("only a broker has topics", where=f"{option} {named}", do="Leave it out, or name a broker")
    check_feed(feed, parts)
    return feed


def stop_on_signals() -> threading.Event:
    """An event that is set by SIGTERM and SIGINT, and when the supervisor of this process has ended."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop_with_supervisor(stop)
    return stop


def run_parts(job: Job, feed: Feed, parts: tuple[str, ...], *, rebuild: bool, stop: threading.Event) -> None:
    """Runs `serve` with its progress on standard error; with `rebuild`, starts again from the tables."""
    if rebuild:
        forget_progress(job, parts)
    serve(job, feed, parts, stop=stop, notify=lambda text: echo(f"freshet: {text}", err=True))
