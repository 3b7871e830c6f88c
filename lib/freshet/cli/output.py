"""Everything that a command prints goes through here: what comes from data can neither colour nor break a terminal."""

import json
import unicodedata
from typing import IO, Any

import click
from rich.console import Console
from rich.text import Text

_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of control and format characters (bidirectional marks among them), halves of surrogate pairs
(which no terminal can be sent) and separators of lines and paragraphs."""

_JOINERS = "\u200c\u200d"
"""Format characters that are part of words (Persian, Indic scripts) and of emoji, and steer nothing."""


def visible(text: str) -> str:
    """The text on one line, with characters that a terminal obeys instead of showing written as in Python: \\x1b."""
    return "".join(_shown(character) if _is_unseen(character) else character for character in text)


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN and character not in _JOINERS


def _shown(character: str) -> str:
    return repr(character)[1:-1]


def assembled(*parts: str | tuple[str, str]) -> Text:
    """One line of several texts, each plain or with a style of rich."""
    return Text.assemble(*((visible(part), "") if isinstance(part, str) else (visible(part[0]), part[1])
                           for part in parts))  # fmt: skip


class Output(Console):
    """A console to which every string, also in a cell or a title of a table, is data: no markup, no emoji codes, one
    line each. Styles are given by `style=` or `assembled`."""

    def __init__(self, *, stderr: bool = False, width: int | None = None, file: IO[str] | None = None) -> None:
        super().__init__(stderr=stderr, width=width, file=file, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """As Console's, of what `visible` makes of the text."""
        return super().render_str(visible(text), **{**options, "markup": False, "emoji": False})


def echo(line: str, *, err: bool = False) -> None:
    """Prints one line as it is, neither wrapped nor styled."""
    click.echo(visible(line), err=err)


def echo_json(data: Any, *, indent: int | None = None) -> None:
    """Prints JSON for programs, in ASCII; what JSON has no form for (times, paths) as text."""
    click.echo(json.dumps(data, indent=indent, default=str))


def echo_file(text: str) -> None:
    """Prints the text of a file that Freshet itself makes, of several lines, as it is."""
    click.echo(text, nl=False)
