"""freshet produce: sends the events of any mapped source to a Kafka topic, at a chosen speed."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from freshet.cli.options import json_option, run_console, settings_options
from freshet.cli.output import assembled, echo, echo_json
from freshet.core.errors import InputError
from freshet.core.session import local_session
from freshet.pipeline.ingestion.ingest import mapped_files
from freshet.pipeline.produce import count_messages, stamped, write_messages, written_messages
from freshet.runs.settings import load_settings
from freshet.sources.kafka.options import kafka_options
from freshet.sources.kafka.sending import Message, Pace, Sender, send_paced

_POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command()
@click.option("--source", type=click.Path(path_type=Path), required=True, help="Mapping of the source (TOML).")
@click.option(
    "--input", "input_path", type=click.Path(path_type=Path), required=True, help="File or folder of raw data."
)
@click.option("--to", "servers", required=True, metavar="HOST:PORT[,...]", help="Bootstrap servers of the broker.")
@click.option("--topic", required=True, help="Topic to send the events to.")
@click.option("--speed-up", type=_POSITIVE, help="Speed relative to real time; 60 sends an hour per minute.")
@click.option("--rate", type=_POSITIVE, help="Events per second, instead.  [default: as fast as possible]")
@click.option("--limit", type=click.IntRange(min=1), help="Send only this many events, the first ones.")
@click.option(
    "--received-now/--received-as-told", "received_now", default=True, show_default=True,
    help="Whether received_time is the moment of sending or the value in the source.",
)  # fmt: skip
@click.option("--kafka-option", "pairs", multiple=True, metavar="KEY=VALUE", help="A setting of librdkafka.")
@click.option(
    "--kafka-options-file", "options_file", type=click.Path(path_type=Path), envvar="FRESHET_KAFKA_OPTIONS_FILE",
    help="File with settings of librdkafka, one per line; for secrets.",
)  # fmt: skip
@settings_options
@json_option
def produce(  # noqa: PLR0913  # one parameter per option, as click requires
    source: Path,
    input_path: Path,
    servers: str,
    topic: str,
    speed_up: float | None,
    rate: float | None,
    limit: int | None,
    received_now: bool,
    pairs: tuple[str, ...],
    options_file: Path | None,
    environment: str | None,
    overrides: tuple[str, ...],
    master: str,
    as_json: bool,
) -> None:
    """Send the accepted events of a source to Kafka, ordered by time.

    Each event is a JSON object with the column names of table events; its key is the shopper. Records that `freshet
    ingest` would refuse are left out. Passwords belong in --kafka-options-file (mode 600) or in the environment:
    FRESHET_KAFKA_SASL_PASSWORD is sasl.password.

    \b
    Examples:
      freshet produce --source conf/sources/online_retail_ii.toml --input online_retail_II.parquet \\
          --to 127.0.0.1:9092 --topic events --speed-up 3600
      freshet produce --source my_shop.toml --input events/ --to 127.0.0.1:9092 --topic events --rate 1000
      freshet produce --source my_shop.toml --input events/ --to kafka.my-shop.example:9093 --topic events \\
          --kafka-option security.protocol=SASL_SSL --kafka-options-file kafka.properties
    """
    if rate is not None and speed_up is not None:
        raise InputError("only one speed can be given", where="--rate and --speed-up", expected="one of them, or none")
    pace = Pace(rate=rate, speed_up=speed_up)
    options = {**kafka_options(pairs, options_file, os.environ), "bootstrap.servers": servers}
    settings = load_settings(environment, overrides)
    mapped_files(source, input_path)
    sender = Sender(options, topic)  # before Spark is started, so that a missing broker is reported at once
    console = run_console(as_json=True)
    with (
        tempfile.TemporaryDirectory(prefix="freshet-produce-") as scratch,
        console.status(assembled("starting ...")) as line,
    ):
        messages = Path(scratch) / "messages"
        spark = local_session("freshet-produce", master, scratch=Path(scratch) / "spark")
        try:
            line.update(assembled("sorting the events ..."))
            write_messages(
                spark, messages, source=source, input_path=input_path, params=settings.cleaning,
                now=datetime.now(UTC).replace(tzinfo=None), limit=limit, received_later=received_now,
            )  # fmt: skip
        finally:
            spark.stop()
        with _figures() as figures:
            notify = _progress(lambda text: line.update(assembled(text)), count_messages(messages))
            count = send_paced(
                sender, written_messages(messages), pace, clock=time.monotonic,
                stamped=stamped if received_now else bytes, notify=notify,
            )  # fmt: skip
    _print_summary(figures(count), f"topic {topic} of {servers}", as_json)


@contextmanager
def _figures() -> Iterator[Callable[[int], dict[str, Any]]]:
    """A function from the number of events sent to the summary of the time that the block took."""
    started = ended = time.monotonic()

    def figures(count: int) -> dict[str, Any]:
        seconds = max(ended - started, 1e-6)
        return {"events": count, "seconds": round(seconds, 3), "events_per_s": round(count / seconds, 1)}

    yield figures
    ended = time.monotonic()


def _progress(update: Callable[[str], None], total: int) -> Callable[[int, Message], None]:
    """Shows the progress of the replay twice a second."""
    updated = started = time.monotonic()

    def notify(number: int, message: Message) -> None:
        nonlocal updated
        now = time.monotonic()
        if now - updated >= 0.5:
            updated = now
            days = message.after / 86_400
            update(f"{number:,} of {total:,} events, {number / (now - started):,.0f}/s, {days:,.2f} days of the source")

    return notify


def _print_summary(figures: dict[str, Any], target: str, as_json: bool) -> None:
    if as_json:
        echo_json(figures)
        return
    echo(f"{figures['events']:,} events into {target} in {figures['seconds']:,.1f} s, {figures['events_per_s']:,.0f}/s")
