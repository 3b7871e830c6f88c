"""A process that takes a topic in to its end, unless it is killed, with its JVM, before or after its nth write."""

import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import freshet.streaming.intake as intake
from freshet.cleaning.source import read_mapping
from freshet.session import spark_session
from freshet.settings import conf_folder, load_settings
from freshet.storage.home import Home
from freshet.streaming.arrivals import arrivals
from freshet.streaming.query import stream_session
from freshet.streaming.records import kafka_records

PER_BATCH = 40


def main(root: Path, servers: str, topic: str, moment_of_death: int) -> None:
    points = 0

    def point() -> None:
        nonlocal points
        points += 1
        if points == moment_of_death:
            os.killpg(os.getpgrp(), signal.SIGKILL)

    def watched(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            point()
            result = write(*args)
            point()
            return result

        return call

    intake.append_arrow = watched(intake.append_arrow)  # type: ignore[assignment]
    intake.append_row = watched(intake.append_row)  # type: ignore[assignment]
    jars = Path(__file__).parents[2] / ".jars"
    options = {"spark.driver.memory": "1g"}
    spark = spark_session("freshet-killed", jars=jars, master="local[2]", options=options)
    home = Home(root)
    mapping = read_mapping(conf_folder().joinpath("sources/shop_events.toml"))
    rules = intake.IntakeRules(mapping.name, timedelta(hours=1), 1000, lambda: datetime.now(UTC).replace(tzinfo=None))
    batches = intake.EventIntake(home.warehouse, "q", rules)
    settings = load_settings()
    raw = kafka_records(
        stream_session(spark, settings.stream), mapping, topic=topic, offsets="earliest", most_per_trigger=PER_BATCH,
        options={"kafka.bootstrap.servers": servers},
    )  # fmt: skip
    query = arrivals(raw, mapping, settings.cleaning).writeStream.foreachBatch(batches)
    query.option("checkpointLocation", str(home.checkpoints / "q")).trigger(
        availableNow=True
    ).start().awaitTermination()
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
