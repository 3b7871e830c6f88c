"""Freshet's own errors: what was expected, what was found, where, and what to do about it.

Every user error ends in one of these and is printed as one line, never as a stack trace.
"""

NO_SPACE = ("No space left on device", "Disk quota exceeded")
"""Words of the errors by which the system, Java and libraries report a full disk."""


class FreshetError(Exception):
    """Base of all errors that a user can cause and correct.

    `where` names the file, row, key or table; `do` says what to do next. All parts but `what` are optional.
    """

    def __init__(self, what: str, *, where: str = "", expected: str = "", found: str = "", do: str = "") -> None:
        self.what, self.where, self.expected, self.found, self.do = what, where, expected, found, do
        super().__init__(self.line())

    def line(self) -> str:
        """The whole error on one line."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.expected:
            text += f"; expected {self.expected}"
        if self.found:
            text += f"; found {self.found}"
        if self.do:
            text += f". {self.do}"
        return " ".join(text.split())


class InputError(FreshetError):
    """A file, a row or an option given by the user cannot be used."""


class MappingError(FreshetError):
    """A source mapping (conf/sources/*.toml) is wrong or does not fit the data."""


class SettingsError(FreshetError):
    """A settings file or a `--set` has an unknown, missing or invalid value."""


class ContractError(FreshetError):
    """A table or a DataFrame does not match its contract; lists all mismatches at once."""


class BusyError(FreshetError):
    """Another process holds the lease of this job or table."""


class StateError(FreshetError):
    """What a step needs from an earlier step is missing or unusable."""


class SetupError(FreshetError):
    """Something that Freshet needs is missing on the machine (Java, jars, disk space, rights)."""


class TransientError(SetupError):
    """Something outside that a service needs does not answer; it may do so later, so the service tries again."""


class DataTooSmallError(FreshetError):
    """The data are not sufficient for a model; the run continues without it and says so."""


class DeclarationError(FreshetError):
    """A step reads a table or a section of the settings that its declaration does not name."""


def listed(problems: list[str]) -> str:
    """Several problems on one line, numbered when there is more than one."""
    if len(problems) == 1:
        return problems[0]
    return f"{len(problems)} problems: " + "; ".join(f"({n}) {text}" for n, text in enumerate(problems, 1))
