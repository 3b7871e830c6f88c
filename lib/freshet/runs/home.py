"""A home: the folder with everything that the runs of one shop make."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from freshet.core.errors import SetupError, StateError

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


@dataclass(frozen=True)
class Home:
    """The folders under `root`. Two homes never touch each other."""

    root: Path

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse"

    @property
    def mlflow(self) -> Path:
        return self.root / "mlflow"

    @property
    def artifacts(self) -> Path:
        """Immutable scoring artifacts, one folder per model version."""
        return self.root / "mlflow" / "scoring"

    @property
    def rules(self) -> Path:
        """Immutable folders of compiled rules and unavailable items."""
        return self.root / "rules"

    @property
    def kept(self) -> Path:
        """Rows that the steps of a session share until it ends."""
        return self.root / "kept"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def sources(self) -> Path:
        """How far the shop's own tables have been read."""
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
        """Creates the folders. Raises SetupError if the root cannot be written or its path cannot be used, and, with
        `must_exist`, StateError if no step has been run in this home."""
        if must_exist:
            self.existing()
        if _ESCAPE.search(str(self.root.absolute())):
            raise SetupError(
                "the home's path holds an escaped character", where=str(self.root),
                expected="no % before two hexadecimal digits: libraries disagree on what it means",
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

    def existing(self) -> "Home":
        """This home. Raises StateError if no step has been run in it, so that a mistyped folder is not created."""
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
