"""The version of the running code."""

import subprocess
from pathlib import Path

from freshet import __version__


def code_version() -> str:
    """The git commit of the checkout that this code runs from, with "-dirty" if files have changed since.

    `freshet <version>` if it runs from an installed package, or if git or the commit is missing.
    """
    checkout = Path(__file__).parents[3]
    if not (checkout / ".git").exists():
        return f"freshet {__version__}"
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return f"freshet {__version__}"
    return done.stdout.strip() if done.returncode == 0 else f"freshet {__version__}"
