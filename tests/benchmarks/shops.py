"""`freshet run` with nothing but a mapping on every shop at hand: served lists and the best plain methods.

A plain method is one of evaluation.baseline_strengths.baseline_candidates. Two of them are compared with the served
lists of a task: the best one on the test days, which nobody could have known, and the one that was best on the
validation days, which a shop would have served without us.
"""

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from freshet.contracts.policies import POLICIES
from tests.benchmarks.main_job import watched_run
from tests.benchmarks.shop_sources import ShopSource, shop_sources

REPOSITORY = Path(__file__).parents[2]

QUICK = "small_43"

TEST, VALIDATION = "test", "validation"
"""Days on which a plain method was the best."""


class Pair(NamedTuple):
    """Mean NDCG@10 of the served lists and of a plain method on the test days, and the paired difference of both.

    `low` and `high` are the ends of its 95 % interval over shoppers; None where there is none, as of a single shopper.
    """

    source: str
    task: str
    shoppers: int
    served: float
    method: str
    plain: float
    difference: float
    low: float | None
    high: float | None


def shops(quick: bool, only: str = "") -> dict[str, Any]:
    """Losses, wins and the geometric mean of served over plain by task; differences and seconds of each source.

    `only`: the starts of names, with commas. --quick: one designed shop, or those named, and little to search.
    """
    starts = tuple((only or (QUICK if quick else "")).split(","))
    sources = [source for source in shop_sources() if source.name.startswith(starts)]
    if not sources:
        raise SystemExit(f"no source begins with {only}: there are {', '.join(one.name for one in shop_sources())}")
    found: dict[str, dict[str, Any]] = {}
    for number, source in enumerate(sources, start=1):
        _say(f"[{number} of {len(sources)}] {source.name}: {source.description}")
        if source.absent:
            _say(f"skipped: {source.absent[0]} is not there; FRESHET_TEST_DATA names the folder of the data sets")
            continue
        found[source.name] = _run(source, quick)
        _print({source.name: found[source.name]}, sys.stderr)
    _print(found, sys.stdout)
    pairs = {days: pairs_of(found, days) for days in (TEST, VALIDATION)}
    figures = {f"{name}, best on {days}": value for days in pairs for name, value in summary(pairs[days]).items()}
    figures |= {f"{pair.source}, {pair.task}": round(pair.difference, 4) for pair in pairs[TEST]}
    figures |= {f"{name} s": one["seconds"] for name, one in found.items()}
    return {**figures, "sources": found}


def pairs_of(found: dict[str, dict[str, Any]], days: str) -> list[Pair]:
    """The served lists of every source and task with figures, and the plain method that was best on those days."""
    return [
        pair for name, one in found.items() for task in POLICIES
        if (pair := _pair(name, task, one["tasks"].get(task), days)) is not None
    ]  # fmt: skip


def _pair(source: str, task: str, figures: dict[str, Any] | None, days: str) -> Pair | None:
    known = {name: of for name, of in (figures or {}).get("plain", {}).items() if of[days] is not None}
    if not figures or not known:
        return None
    # Of equally good ones the first by name.
    method = min(known, key=lambda name: (-known[name][days], name))
    of = known[method]
    return Pair(
        source, task, figures["shoppers"], figures["served"], method, of[TEST], of["difference"], of["low"], of["high"]
    )


def summary(pairs: Sequence[Pair]) -> dict[str, float | None]:
    """How many pairs there are, how many intervals end below 0 (losses) and begin above 0 (wins), and by task the
    geometric mean of served over plain.

    A pair in which one of the two is 0 has no such ratio and is left out of the mean; None without any ratio.
    """
    figures: dict[str, float | None] = {
        "pairs": len(pairs),
        "losses": sum(pair.high is not None and pair.high < 0 for pair in pairs),
        "wins": sum(pair.low is not None and pair.low > 0 for pair in pairs),
    }
    for task in POLICIES:
        ratios = [pair.served / pair.plain for pair in pairs if pair.task == task and pair.served and pair.plain]
        mean = math.exp(math.fsum(map(math.log, ratios)) / len(ratios)) if ratios else None
        figures[f"served over plain, {task}"] = mean and round(mean, 4)
    return figures


def _run(source: ShopSource, quick: bool) -> dict[str, Any]:
    """What shop_judging finds after a run, and the seconds of the run."""
    with tempfile.TemporaryDirectory(prefix="freshet-bench-") as folder:
        mapping, data = source.make(Path(folder))
        home, file = Path(folder) / "home", Path(folder) / "judged.json"
        try:
            seconds, _ = watched_run(mapping, data, home, quick=quick)
        except SystemExit as failure:
            return {"seconds": None, "serves": None, "reason": "run failed", "message": str(failure), "tasks": {}}
        command = [sys.executable, "-m", "tests.benchmarks.shop_judging", str(home), str(file)]
        done = subprocess.run(command, cwd=REPOSITORY, stdout=sys.stderr, check=False)
        if done.returncode:
            judged = {"serves": None, "reason": "judging failed", "message": f"code {done.returncode}", "tasks": {}}
        else:
            judged = json.loads(file.read_text(encoding="utf-8"))
        return {"seconds": round(seconds, 1), **judged}


def _print(found: dict[str, dict[str, Any]], where: Any) -> None:
    title = "served lists and the best plain methods, NDCG@10 on the test days; served minus plain with 95 % interval"
    table = Table(title=title, title_justify="left", caption_justify="left")
    for name in ("source", "task", "protocol", "shoppers", "served", "plain, best on test", "difference",
                 "plain, best on validation", "difference", "serves", "s"):  # fmt: skip
        table.add_column(name)
    for name, one in found.items():
        seconds = "-" if one["seconds"] is None else f"{one['seconds']:.0f}"
        for task in POLICIES if one["tasks"] else ():
            cells = [_of_task(name, one, task, days) for days in (TEST, VALIDATION)]
            table.add_row(name, task, one["protocol"], *cells[0], *cells[1][2:], one["serves"], seconds)
        if not one["tasks"]:
            table.add_row(name, *["-"] * 8, f"{one['serves'] or '-'}, {one['reason']}", seconds)
        if one["message"]:
            table.caption = f"{table.caption or ''}{name}: {one['message']}\n"
    Console(width=200, file=where).print(table)


def _of_task(name: str, one: dict[str, Any], task: str, days: str) -> list[str]:
    """Shoppers, the served figure, the plain method with its figure, and the difference, as texts."""
    figures, pair = one["tasks"].get(task), _pair(name, task, one["tasks"].get(task), days)
    if not figures:
        return ["0", "-", "-", "-"]
    own = [f"{figures['shoppers']:,}", f"{figures['served']:.4f}"]
    if pair is None:
        return [*own, "-", "-"]
    interval = "" if pair.low is None else f" ({pair.low:+.3f} to {pair.high:+.3f})"
    return [*own, f"{pair.plain:.4f} {pair.method}", f"{pair.difference:+.3f}{interval}"]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
