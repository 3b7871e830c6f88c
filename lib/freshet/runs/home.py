"""A home: the folder that holds everything one shop's runs make."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from freshet.core.errors import SetupError, StateError

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


@dataclass(frozen=True)
class Home:
    """Where things lie under `root`. Two homes never touch each other."""

    root: Path

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse"

    @property
    def mlflow(self) -> Path:
        return self.root / "mlflow"

    @property
    def artifacts(self) -> Path:
        """Immutable scoring artifacts, a folder per model version."""
        return self.root / "mlflow" / "scoring"

    @property
    def availability(self) -> Path:
        """Immutable files of items that cannot be had."""
        return self.root / "availability"

    @property
    def kept(self) -> Path:
        """Rows that steps of a session share, until it ends."""
        return self.root / "kept"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def sources(self) -> Path:
        """How far tables of the shop are taken in."""
        return self.root / "sources"

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def steps(self) -> Path:
        return self.root / "steps"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    def prepare(self, *, must_exist: bool = False) -> "Home":
        """Makes the folders, of a home that `must_exist` only where a step was run in it. Raises SetupError when the
        root cannot be written or its path cannot be used."""
        if must_exist:
            self.begun()
        if _ESCAPE.search(str(self.root.absolute())):
            raise SetupError(
                "the home's path holds an escaped character", where=str(self.root),
                expected="no % before two hexadecimal digits: libraries disagree on what it stands for",
                do="Choose another with --home",
            )  # fmt: skip
        try:
            for folder in (
                self.warehouse,
                self.mlflow,
                self.checkpoints,
                self.report,
                self.steps,
                self.locks,
            ):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_writable(self.root, error.strerror or str(error)) from error
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise _not_writable(self.root, "no right to write")
        return self

    def begun(self) -> "Home":
        """Raises StateError where no step has been run: nothing is made in a folder that was named by mistake."""
        if not self.steps.is_dir():
            raise StateError("no run has been made here", where=str(self.root), do="Start with `freshet run --help`")
        return self


def _not_writable(root: Path, reason: str) -> SetupError:
    return SetupError(
        "the home cannot be written",
        where=str(root),
        expected="a folder with the right to write",
        found=reason,
        do="Choose another with --home",
    )
