"""The command line `freshet`."""

from freshet.cli.main import main

__all__ = ["main"]
