"""Where the settings files are. Imports no computing packages, so that commands that only read start in a second."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path


def conf_folder() -> Traversable:
    """The conf folder of the checkout, else the copy in the wheel or zip."""
    checkout = Path(__file__).parents[3] / "conf"
    return checkout if checkout.is_dir() else files("freshet").joinpath("_conf")
