"""The summary at the end of a run: records read, what was and was not built, quality, and what to look at next."""

from shlex import quote
from typing import Any

from rich.table import Table
from rich.text import Text

from freshet.cli.output import Output, assembled
from freshet.runs.home import Home
from freshet.runs.runner import DONE, NOT_BUILT, StepResult
from freshet.runs.steps import EVALUATE, INGEST

_MARKS = {DONE: ("done", "green"), NOT_BUILT: ("not built", "yellow")}


def result_lines(result: StepResult) -> list[Text]:
    """How a step ended: title, status and seconds; on a second line the reason if nothing was built."""
    mark = _MARKS.get(result.status, ("up to date", "cyan"))
    lines = [assembled(f"{result.title:<34} ", mark, f"  {result.seconds:6.1f} s")]
    if result.status == NOT_BUILT:
        lines.append(assembled(f"    {result.record['not_built']}"))
    return lines


def print_summary(console: Output, home: Home, results: list[StepResult], seconds: float) -> None:
    """Prints the record counts of the input, the evaluation, what was not built and why, and the next commands.

    `seconds` is the elapsed time, which is less than the sum over steps that ran in parallel.
    """
    records = {result.step: result.record for result in results}
    console.print()
    if "raw_rows" in records.get(INGEST.name, {}):
        print_record_counts(console, records[INGEST.name])
    rows = records.get(EVALUATE.name, {}).get("figures", [])
    if rows:
        console.print(evaluation_table(rows))
    missing = [(result.title, result.record["not_built"]) for result in results if "not_built" in result.record]
    for title, reason in missing:
        console.print(f"Not built: {title}: {reason}")
    for result in results:
        for note in result.record.get("notes", []):
            console.print(f"Note: {note}")
    console.print(f"Took {seconds:.0f} s, not counting the start of Spark.")
    console.print(f"Report: {home.report / 'index.html'}")
    quoted = quote(str(home.root))  # so that the line can be copied even if the path has a space
    console.print(f"Next:   freshet show USER --home {quoted}   ·   freshet status --home {quoted}")


def print_record_counts(console: Output, record: dict[str, Any]) -> None:
    """How many raw records became events, and how many were refused by each reason, from the record of step ingest."""
    shown = Table("raw records", "count", title="What came in", title_justify="left")
    shown.columns[1].justify = "right"
    shown.add_row("accepted as events", f"{record['accepted']:,}")
    for reason, count in sorted(record["refused"].items(), key=lambda pair: -pair[1]):
        shown.add_row(f"refused: {reason}", f"{count:,}")
    shown.add_section()
    shown.add_row("sum = rows read", f"{record['raw_rows']:,}")
    console.print(shown)


def evaluation_table(rows: list[dict[str, Any]]) -> Table:
    """Test metrics at 10, best model first within a task: NDCG with its interval, recall and hit rate."""
    shown = Table("task", "model", "NDCG@10", "95 % interval", "recall@10", "hit rate@10", "shoppers",
                  title="On the test days", title_justify="left")  # fmt: skip
    by_model: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in rows:
        if row["k"] == 10:
            by_model.setdefault((row["task"], row["model"]), {})[row["metric"]] = row
    ordered = sorted(by_model.items(), key=lambda entry: (entry[0][0], -entry[1]["ndcg"]["value"]))
    for (task, model), metrics in ordered:
        ndcg = metrics["ndcg"]
        style = "bold" if model == "served" else ""
        shown.add_row(
            task, model, f"{ndcg['value']:.4f}", f"{ndcg['low']:.4f} to {ndcg['high']:.4f}",
            f"{metrics['recall']['value']:.4f}", f"{metrics['hit']['value']:.4f}", f"{ndcg['users']:,}", style=style,
        )  # fmt: skip
    return shown
