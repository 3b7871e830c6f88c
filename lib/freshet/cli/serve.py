"""freshet serve: takes events in from Kafka and keeps lists fresh, until it is stopped."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import click
from py4j.protocol import Py4JError

from freshet.cli.options import home_option, opened_job, settings_options
from freshet.messages.java import spark_options
from freshet.messages.options import kafka_options
from freshet.settings import conf_folder
from freshet.steps.serve import Topic, forget_progress
from freshet.steps.serve import serve as serve_job


@click.command()
@home_option
@click.option("--from", "servers", required=True, metavar="HOST:PORT[,...]", help="Bootstrap servers of the broker.")
@click.option("--topic", required=True, help="Topic of the events, JSON objects keyed by shopper.")
@click.option(
    "--source", type=click.Path(path_type=Path), help="Mapping of the events.  [default: conf/sources/shop_events.toml]"
)
@click.option("--rebuild", is_flag=True, help="Begin anew from the tables, when checkpoints are lost or do not fit.")
@click.option("--kafka-option", "pairs", multiple=True, metavar="KEY=VALUE", help="A setting of librdkafka.")
@click.option(
    "--kafka-options-file", "options_file", type=click.Path(path_type=Path), envvar="FRESHET_KAFKA_OPTIONS_FILE",
    help="Such settings, a line each; a place for secrets.",
)  # fmt: skip
@settings_options
def serve(
    home: Path,
    servers: str,
    topic: str,
    source: Path | None,
    rebuild: bool,
    pairs: tuple[str, ...],
    options_file: Path | None,
    **settings: Any,
) -> None:
    """Take events in from Kafka and keep the lists of their shoppers fresh, until SIGTERM or Ctrl-C.

    Needs a champion: run `freshet run` first. It goes on where it stopped or was killed. What --rebuild begins anew is
    worked out from the tables: no event is lost or doubled.

    \b
    Examples:
      freshet serve --from 127.0.0.1:9092 --topic events
      freshet serve --from 127.0.0.1:9092 --topic events --rebuild
    """
    options = {**kafka_options(pairs, options_file, os.environ), "bootstrap.servers": servers}
    mapping = source or Path(str(conf_folder().joinpath("sources", "shop_events.toml")))
    wished = Topic(mapping, topic, spark_options(options), options)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with opened_job(home, settings["environment"], settings["overrides"], settings["master"]) as job:
            if rebuild:
                forget_progress(job)
            serve_job(job, wished, stop=stop, tell=lambda text: click.echo(f"freshet: {text}", err=True))
    except Py4JError:
        # A signal to the whole group of processes has ended the JVM first; the next start goes on from its checkpoint.
        if not stop.is_set():
            raise
    click.echo("freshet: stopped", err=True)
