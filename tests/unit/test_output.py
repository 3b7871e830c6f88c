"""What comes from data reaches a terminal as text only: no markup, no control characters, one line each."""

import io
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from freshet.cli.errors import run_or_exit
from freshet.cli.main import freshet as command_line
from freshet.cli.output import Output, assembled, visible
from freshet.cli.summary import evaluation_table, print_summary, result_lines
from freshet.cli.watch import view
from freshet.contracts import ITEMS_HISTORY, RECOMMENDATIONS
from freshet.core.errors import InputError
from freshet.runs.home import Home
from freshet.runs.runner import NOT_BUILT, StepResult
from freshet.tables.format.arrow_rows import arrow_schema
from tests.factories import SOME_MOMENT

pytestmark = pytest.mark.unit

HOSTILE = [
    "[/red]x", "[red]x", "[link=https://a.example]x[/link]", "[/]", "\\[x]", ":smile:", "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b31m", "a\rb", "a\nfreshet: all is well", "a\tb", "\x00", "\x7f", "a\u202eb", "\u2066x\u2069", "\u200fx",
    "\ufeffx", "a\u2028b", "\ud800", "\U000e0041",
]  # fmt: skip

TEXTS = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from([*HOSTILE, "plain", " ", "ä", "[", "]", "\\"]), max_size=5).map("".join),
    st.text(st.characters(), max_size=30),
)


def is_obeyed(character: str) -> bool:
    """Whether a terminal does something with it other than showing it."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in "\u200c\u200d"


def harmless(printed: str) -> bool:
    return not any(is_obeyed(character) for character in printed.replace("\n", ""))


def output() -> tuple[Output, io.StringIO]:
    file = io.StringIO()
    return Output(file=file, width=400), file


@given(TEXTS)
def test_a_text_is_shown_on_one_line_and_nothing_of_it_is_obeyed(text: str) -> None:
    shown = visible(text)
    assert harmless(shown)
    assert "\n" not in shown
    plain = "".join(character for character in text if not is_obeyed(character))
    assert shown == text if plain == text else len(shown) > len(plain)


@given(TEXTS)
def test_lines_titles_and_cells_show_the_text_itself(text: str) -> None:
    console, file = output()
    table = Table("head", text, title=f"about {text}", title_justify="left")
    table.add_row("cell", text)
    console.print(f"line {text}|")
    console.print(table)
    console.print(assembled("part ", (text, "red")))
    printed = file.getvalue()
    assert harmless(printed)
    assert printed.count("\n") == 8  # a line, a title, five of the table, a line
    squeezed = visible(text).strip()
    assert printed.count(squeezed) >= 5 or "  " in squeezed or not squeezed


@given(TEXTS)
def test_what_runs_now_is_shown_as_it_is(text: str) -> None:
    file = io.StringIO()
    console = Output(file=file, width=400)
    with console.status(assembled("")) as line:
        line.update(assembled(text))
        console.print(line.renderable)
    assert harmless(file.getvalue())


@pytest.mark.parametrize("text", HOSTILE)
def test_ends_of_steps_and_figures_show_texts_as_they_are(text: str, tmp_path: Path) -> None:
    console, file = output()
    refused = {"raw_rows": 1, "accepted": 0, "refused": {text: 1}}
    results = [
        StepResult("ingest", text, NOT_BUILT, 1.0, {"not_built": text, "notes": [text], **refused}),
    ]
    figures = [
        {"task": text, "model": text, "metric": metric, "k": 10, "value": 0.1, "low": 0.1, "high": 0.1, "users": 1}
        for metric in ("ndcg", "recall", "hit")
    ]
    for line in result_lines(results[0]):
        console.print(line)
    print_summary(console, Home(tmp_path), results, 1.0)
    console.print(evaluation_table(figures))
    table = view([], datetime.now(UTC))
    table.add_row(text)
    console.print(table)
    assert harmless(file.getvalue())
    assert file.getvalue().count(visible(text).strip()) >= 6


@pytest.mark.parametrize("text", HOSTILE)
def test_errors_are_one_line_whatever_they_quote(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise InputError("there is no such thing", where=text)

    with pytest.raises(SystemExit):
        run_or_exit(work)
    printed = capsys.readouterr().err
    assert harmless(printed)
    assert printed.count("\n") == 1


def test_wrong_options_are_quoted_without_their_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run_or_exit(lambda: command_line.main(["show", "--\x1b[31m\u202ex"], standalone_mode=False))
    printed = capsys.readouterr().err
    assert stop.value.code == 2
    assert harmless(printed)
    assert "\\x1b[31m\\u202ex" in printed


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of every hostile shopper, with items that are named likewise."""
    home, moment = tmp_path_factory.mktemp("hostile"), SOME_MOMENT.replace(tzinfo=UTC)
    storable = [text for text in HOSTILE if text != "\ud800"]  # no table can hold it
    lists = [
        {"user_id": text, "generated_at": moment, "event_clock": moment, "generation": 1, "model_version": "1.0",
         "source": "batch", "items": [{"position": 1, "item_id": text, "score": 1.0, "reason": f"similar:{text}"}]}
        for text in storable
    ]  # fmt: skip
    states = [
        {"item_id": text, "valid_from": moment, "known_at": moment, "name": text, "source": "s"} for text in storable
    ]
    for contract, rows in ((RECOMMENDATIONS, lists), (ITEMS_HISTORY, states)):
        write_deltalake(home / "warehouse" / contract.name, pa.Table.from_pylist(rows, schema=arrow_schema(contract)))
    return home


@pytest.mark.parametrize("text", [text for text in HOSTILE if text not in ("\ud800", "\x00")])
def test_show_ends_well_for_every_shopper(text: str, home: Path) -> None:
    done = CliRunner().invoke(command_line, ["show", "--home", str(home), "--", text], env={"COLUMNS": "400"})
    assert done.exception is None
    assert harmless(done.output)
    assert done.output.count(visible(text).strip()) >= 4
