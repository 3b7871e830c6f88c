"""Logging to a file in the home; warnings of libraries do not reach the user's terminal."""

import logging
import warnings
from pathlib import Path


def log_to(folder: Path) -> None:
    """Sends all log records of this process to `freshet.log` in `folder`; the terminal keeps only our own output."""
    handler = logging.FileHandler(folder / "freshet.log", encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("freshet").setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    warnings.simplefilter("default")
