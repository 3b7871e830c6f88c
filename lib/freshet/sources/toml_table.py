"""Reads a TOML table key by key. Wrong types and unknown keys become problems in a list, not exceptions."""

import difflib
import re
from collections.abc import Iterable
from typing import Any


def nearest(word: str, known: Iterable[str]) -> str:
    """' (did you mean X?)' for the known word that is most like `word`, else an empty text."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return f" (did you mean {by_lower[found[0]]}?)" if found else ""


class TomlTable:
    """One table of a TOML file. Reading a key marks it as known; `close` reports the others."""

    def __init__(self, values: dict[str, Any], where: str, problems: list[str]) -> None:
        self.values, self.where, self.problems = values, where, problems
        self._asked: list[str] = []

    def problem(self, key: str, text: str) -> None:
        """Adds a problem with `key` of this table."""
        self.problems.append(f"{self._path(key)} {text}")

    def _path(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def has(self, *keys: str) -> bool:
        """Whether one of the keys exists."""
        return any(key in self.values for key in keys)

    def raw(self, key: str) -> Any:
        """The value as TOML gives it, None when absent."""
        self._asked.append(key)
        return self.values.get(key)

    def text(self, key: str, absent: str | None = None, *, one_of: tuple[str, ...] = ()) -> str | None:
        """A text, `absent` when the key is not there."""
        value = self.raw(key)
        if value is None:
            return absent
        if not isinstance(value, str):
            self.problem(key, f"must be a text, is {value!r}")
            return absent
        if one_of and value not in one_of:
            self.problem(key, f"must be one of {', '.join(one_of)}, is '{value}'{nearest(value, one_of)}")
            return absent
        return value

    def flag(self, key: str, absent: bool = False) -> bool:
        """true or false."""
        value = self.raw(key)
        if value is not None and not isinstance(value, bool):
            self.problem(key, f"must be true or false, is {value!r}")
        return value if isinstance(value, bool) else absent

    def number(self, key: str, absent: float) -> float:
        """A number."""
        value = self.raw(key)
        if value is None:
            return absent
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.problem(key, f"must be a number, is {value!r}")
            return absent
        return float(value)

    def texts(self, key: str, absent: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A list of texts; a single text counts as a list of one."""
        value = self.raw(key)
        if value is None:
            return absent
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            self.problem(key, f"must be a list of texts, is {value!r}")
            return absent
        return tuple(found)

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """A table of texts, in its order."""
        value = self.raw(key)
        if value is None:
            return ()
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            self.problem(key, f'must be a table of texts such as {{a = "b"}}, is {value!r}')
            return ()
        return tuple(value.items())

    def regex(self, key: str) -> str | None:
        """A regular expression that can be compiled."""
        value = self.text(key)
        if value is None:
            return None
        try:
            re.compile(value)
        except re.error as error:
            self.problem(key, f"is no regular expression: {error}")
            return None
        return value

    def table(self, key: str) -> "TomlTable | None":
        """A table within this one, None when the key is absent."""
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.problem(key, f"must be a table, is {value!r}")
            return None
        return TomlTable(value, self._path(key), self.problems)

    def tables(self, key: str) -> "list[TomlTable]":
        """A list of tables; empty when the key is absent."""
        value = self.raw(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.problem(key, "must be a list of tables")
            return []
        return [TomlTable(one, f"{self._path(key)}[{n}]", self.problems) for n, one in enumerate(value)]

    def close(self) -> None:
        """Reports the keys that were never read."""
        for key in self.values:
            if key not in self._asked:
                known = ", ".join(dict.fromkeys(self._asked))
                self.problem(key, f"is not known here{nearest(key, self._asked)}; known: {known}")
