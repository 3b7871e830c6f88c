"""The main job on shops of growing size: how the time of each step grows with events, and with items."""

import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.main_job import DATA, SOURCE, steps, watched_run
from tests.benchmarks.scale_shops import long_tail_shop, tiled

TILES = (1, 4, 16)
"""Times that the bundled shop of 1.07 million events is run, each with shoppers and orders of its own: 1, 4 and 16
million events of the same 4,600 items."""

ITEMS, QUICK_ITEMS = (5_000, 50_000, 500_000), (1_000, 4_000)
"""Items of shops with a long tail: 0.31 shoppers and 3.4 purchases for each item, so that most are bought once or
twice."""

_SHOPPERS_OF_AN_ITEM, _PURCHASES_OF_AN_ITEM = 0.31, 3.4

GOAL = 1.1
"""The exponent that no step's time should exceed."""


class _Shop(NamedTuple):
    """What a size is called, the number that it is measured by, and what writes it to a folder: mapping and data."""

    name: str
    size: int
    write: Callable[[Path], tuple[Path, Path]]


def scale(
    quick: bool, only: str = "", items: int | None = None, shoppers: int | None = None, events: int | None = None
) -> dict[str, Any]:
    """Seconds of each step, peak memory by size (of the process tree, shared pages once), and exponents.

    An exponent is log(seconds / seconds of the next smaller size) / log(size / that size), for the two largest sizes;
    steps below a second are left out. `only`: events or items. With `items`, one shop of so many, with `shoppers` and
    `events` (as above where they are not given), which has no exponent. --quick: small shops and little to search.
    """
    if items is not None:
        groups = {"items": [_drawn(items, shoppers, events)]}
    else:
        groups = {"items": [_drawn(size) for size in (QUICK_ITEMS if quick else ITEMS)]}
        if not quick:
            groups = {"events": [_repeated(times) for times in TILES], **groups}
        groups = {name: shops for name, shops in groups.items() if name.startswith(only)}
    figures: dict[str, Any] = {}
    for kind, shops in groups.items():
        runs = [(shop.size, _run(shop, quick)) for shop in shops]
        for shop, (_, run) in zip(shops, runs, strict=True):
            figures |= {f"{shop.name}, {figure}": value for figure, value in run.items()}
        if len(runs) > 1:
            figures |= {f"exponent by {kind}, {step}": value for step, value in exponents(*runs[-2:])}
    return figures


def exponents(
    smaller: tuple[int, dict[str, float]], larger: tuple[int, dict[str, float]]
) -> Iterator[tuple[str, float]]:
    """(figure, exponent) of all figures in s, from two sizes and what they took; see `scale`."""
    growth = math.log(larger[0] / smaller[0])
    for name, seconds in larger[1].items():
        before = smaller[1].get(name, 0.0)
        if name.endswith(" s") and min(before, seconds) >= 1.0:
            yield name.removesuffix(" s"), round(math.log(seconds / before) / growth, 2)


def _drawn(items: int, shoppers: int | None = None, events: int | None = None) -> _Shop:
    def write(folder: Path) -> tuple[Path, Path]:
        mapping = long_tail_shop(
            folder, items=items, shoppers=shoppers or int(_SHOPPERS_OF_AN_ITEM * items),
            interactions=events or int(_PURCHASES_OF_AN_ITEM * items),
        )  # fmt: skip
        return mapping, folder / "shop.parquet"

    return _Shop(f"{items:,} items", items, write)


def _repeated(times: int) -> _Shop:
    def write(folder: Path) -> tuple[Path, Path]:
        tiled(DATA, folder / "shop.parquet", columns=("Customer ID", "Invoice"), times=times)
        return SOURCE, folder / "shop.parquet"

    return _Shop(f"{times} times the bundled shop", times, write)


def _run(shop: _Shop, quick: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="freshet-bench-") as folder:
        mapping, data = shop.write(Path(folder))
        home = Path(folder) / "home"
        seconds, peak = watched_run(mapping, data, home, quick=quick)
        taken = {f"{step} s": each for step, each in _seconds(home)}
        return {"peak GB": round(peak.pss, 2), "whole run s": round(seconds, 1), **taken}


def _seconds(home: Path) -> Iterator[tuple[str, float]]:
    """Of the steps that have run, as `freshet status` says."""
    for step, record in steps(home)["steps"].items():
        if record is not None and "seconds" in record:
            yield step, round(float(record["seconds"]), 1)
