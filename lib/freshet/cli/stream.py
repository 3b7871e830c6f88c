"""freshet stream: takes events in and keeps lists fresh, until it is stopped."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from py4j.protocol import Py4JError

from freshet.cli.exposition import metrics_served
from freshet.cli.opening import opened_job
from freshet.cli.options import home_option, settings_options
from freshet.cli.output import echo
from freshet.cli.supervision import stop_with_supervisor, supervised
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

_OURSELVES = (sys.executable, "-c", "from freshet.cli import main; main()")


def feed_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--from and what belongs to it: where the events come from."""
    for option in reversed((
        click.option("--from", "origin", required=True, metavar="BROKERS|FOLDER|table:events",
                     help="HOST:PORT[,...] of a Kafka broker, a folder of JSON lines, the folder of a Delta table, "
                     "or table events (lists alone)."),
        click.option("--topic", help="Topic of the events, JSON objects keyed by shopper."),
        click.option("--items-topic", help="Topic of what changes about items (price, stock), JSON objects."),
        click.option("--source", type=click.Path(path_type=Path),
                     help="Mapping of the events.  [default: conf/sources/shop_events.toml]"),
        click.option("--rebuild", is_flag=True,
                     help="Begin anew from the tables, when checkpoints are lost or do not fit."),
        click.option("--kafka-option", "pairs", multiple=True, metavar="KEY=VALUE", help="A setting of librdkafka."),
        click.option("--kafka-options-file", "options_file", type=click.Path(path_type=Path),
                     envvar="FRESHET_KAFKA_OPTIONS_FILE", help="Such settings, a line each; a place for secrets."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.command()
@home_option
@feed_options
@click.option("--only", type=click.Choice(PARTS), help="One of the two parts, in a process of its own.")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    help="Serve figures for Prometheus at http://127.0.0.1:PORT/metrics; 0: any free port.",
)
@click.option("--no-restart", is_flag=True, help="End after a crash, for a process manager to start it again.")
@settings_options
def stream(only: str | None, metrics_port: int | None, no_restart: bool, **options: Any) -> None:
    """Take events in and keep the lists of their shoppers fresh, until SIGTERM or Ctrl-C.

    Needs a champion: run `freshet run` first. It goes on where it stopped or was killed, and starts again by itself
    after a crash. Lists are made straight from a topic; with a folder or a Delta table of yours, to which you only
    append, from table events, into which they go.

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
        supervised([*_OURSELVES, *sys.argv[1:], "--no-restart"], settings.service)
        return
    stop = stop_on_signals()
    try:
        with (
            metrics_served(options["home"].absolute() / "warehouse", metrics_port) as port,
            opened_job(
                options["home"],
                options["environment"],
                options["overrides"],
                stream_master(options["master"]),
                asks_models=True,
            ) as job,
        ):
            if port is not None:
                echo(f"freshet: figures at http://127.0.0.1:{port}/metrics", err=True)
            run_parts(job, feed, parts, rebuild=options["rebuild"], stop=stop)
    except Py4JError:
        # A signal to the whole group of processes has ended the JVM first; the next start goes on from its checkpoint.
        if not stop.is_set():
            raise
    echo("freshet: stopped", err=True)


def feed_from_options(options: dict[str, Any], parts: tuple[str, ...]) -> Feed:
    """The feed that the options of `feed_options` name. Raises InputError where they do not fit together or with
    `parts`, and TransientError where no broker answers."""
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
    """Set by SIGTERM and SIGINT, and when the process that watches over this one is gone."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop_with_supervisor(stop)
    return stop


def run_parts(job: Job, feed: Feed, parts: tuple[str, ...], *, rebuild: bool, stop: threading.Event) -> None:
    """`serve`, begun anew from the tables where that is wished, with its progress on standard error."""
    if rebuild:
        forget_progress(job, parts)
    serve(job, feed, parts, stop=stop, notify=lambda text: echo(f"freshet: {text}", err=True))
