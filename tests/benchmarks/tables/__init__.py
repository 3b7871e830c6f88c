"""Published tables with our row among theirs: the same data, protocol and metrics, settings from validation alone."""

from collections.abc import Callable
from functools import partial
from typing import Any

from pyspark.sql import SparkSession
from rich.console import Console
from rich.table import Table

from tests.benchmarks.tables.amazon_s3rec import amazon
from tests.benchmarks.tables.gowalla import gowalla
from tests.benchmarks.tables.ml_1m import ml_1m
from tests.benchmarks.tables.ml_100k import ml_100k
from tests.benchmarks.tables.published import AMAZON, GOWALLA, ML_1M, ML_100K, TOPN_QUEST, Published
from tests.benchmarks.tables.spark_side import DATA, bench_session
from tests.benchmarks.tables.topn_quest import SETS, topn_quest

Measure = Callable[[SparkSession, bool], dict[str, Any]]

TABLES: dict[str, tuple[Published, Measure]] = {
    "ml_100k": (ML_100K, ml_100k),
    "ml_1m": (ML_1M, ml_1m),
    "amazon_beauty": (AMAZON["Beauty"], partial(amazon, name="Beauty")),
    "amazon_toys": (AMAZON["Toys_and_Games"], partial(amazon, name="Toys_and_Games")),
    "gowalla": (GOWALLA, gowalla),
    **{f"topn_quest_{name}": (TOPN_QUEST, partial(topn_quest, name=name)) for name in SETS},
}
QUICK = ("ml_100k", "amazon_beauty")
"""The tables that a quick run takes, at a smaller size: its figures are not comparable with the published ones."""


def tables(quick: bool, only: str | None = None) -> dict[str, Any]:
    """One object per table; prints each table with our row in its place."""
    wanted = [name for name in TABLES if only is None or name.startswith(only)]
    if only is None and quick:
        wanted = [name for name in wanted if name in QUICK]
    if not wanted:
        raise SystemExit(f"there is no table {only}; known: {', '.join(TABLES)}")
    if not DATA.is_dir():
        raise SystemExit(f"the data sets are not in {DATA}: name their folder in FRESHET_TEST_DATA")
    spark = bench_session()
    try:
        found = {}
        for name in wanted:
            published, measure = TABLES[name]
            figures = measure(spark, quick)
            _print(name, published, figures)
            found[name] = {key: value for key, value in figures.items() if key != "row"}
        return found
    finally:
        spark.stop()


def _print(name: str, published: Published, figures: dict[str, Any]) -> None:
    table = Table(title=name, caption=f"published: {published.source}", caption_justify="left")
    table.add_column("model")
    for column in published.columns:
        table.add_column(column, justify="right")
    place = next((n for n, column in enumerate(published.columns) if column.lower().startswith("ndcg")), 0)
    fitted_here = figures.get("peers", {})
    rows = {**published.rows, **fitted_here, figures["model"]: figures["row"]}
    for model, row in sorted(rows.items(), key=lambda one: one[1][place]):
        cells = [f"{value:.4f}" if column.split()[-1] != "s" else f"{value:.1f}"
                 for column, value in zip(published.columns, row, strict=True)]  # fmt: skip
        table.add_row(model, *cells, style="bold" if model == figures["model"] else None)
    console = Console(width=120)
    console.print(table)
    told = {key: value for key, value in figures.items() if key not in ("row", "model", "peers")}
    console.print(", ".join(f"{key} {value}" for key, value in told.items()), highlight=False)
