"""All output of commands goes through here, so that text from data can neither colour nor break a terminal."""

import json
import unicodedata
from typing import IO, Any

import click
from rich.console import Console
from rich.text import Text

_CONTROL = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of control and format characters (including bidirectional marks), halves of surrogate pairs
(which cannot be sent to a terminal) and separators of lines and paragraphs."""

_JOINERS = "\u200c\u200d"
"""Format characters that are part of words (Persian, Indic scripts) and of emoji, and control nothing."""


def visible(text: str) -> str:
    """The text on one line, with control characters escaped as in Python: \\x1b."""
    return "".join(_escaped(character) if _is_control(character) else character for character in text)


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in _CONTROL and character not in _JOINERS


def _escaped(character: str) -> str:
    return repr(character)[1:-1]


def assembled(*parts: str | tuple[str, str]) -> Text:
    """One line made of several texts, each plain or with a style of rich."""
    return Text.assemble(*((visible(part), "") if isinstance(part, str) else (visible(part[0]), part[1])
                           for part in parts))  # fmt: skip


class Output(Console):
    """A console that treats every string as data, also in cells and titles of tables: no markup, no emoji codes, one
    line each. Styles are given with `style=` or `assembled`."""

    def __init__(self, *, stderr: bool = False, width: int | None = None, file: IO[str] | None = None) -> None:
        super().__init__(stderr=stderr, width=width, file=file, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """As in Console, for the text with control characters escaped by `visible`."""
        return super().render_str(visible(text), **{**options, "markup": False, "emoji": False})


def echo(line: str, *, err: bool = False) -> None:
    """Prints one line without wrapping or styles."""
    click.echo(visible(line), err=err)


def echo_json(data: Any, *, indent: int | None = None) -> None:
    """Prints JSON for programs, in ASCII; values without a JSON form (times, paths) as text."""
    click.echo(json.dumps(data, indent=indent, default=str))


def echo_file(text: str) -> None:
    """Prints the unchanged text, of several lines, of a file that Freshet itself generates."""
    click.echo(text, nl=False)
