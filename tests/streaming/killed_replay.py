"""A process that replays the small shop and is killed, with its JVM, when it looks at the clock for the nth time."""

import os
import signal
import sys
from datetime import datetime
from pathlib import Path

from freshet.core.session import spark_session
from freshet.runs.home import Home
from freshet.service.lists.live_replay import replay_live
from freshet.tables.warehouse import Warehouse
from tests.streaming.scenario import MODEL, WALL, history_lists, plan


def main(root: Path, moment_of_death: int) -> None:
    looks = 0

    def now() -> datetime:
        nonlocal looks
        looks += 1
        if looks == moment_of_death:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        return WALL

    jars = Path(__file__).parents[2] / ".jars"
    spark = spark_session("freshet-killed", jars=jars, master="local[2]", options={"spark.driver.memory": "1g"})
    home = Home(root)
    replay_live(home, Warehouse(spark, home.warehouse), plan(), model=MODEL, scorer=history_lists, now=now)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
