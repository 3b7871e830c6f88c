"""Where the settings files are. Imports nothing that computes: commands that only look start in a second."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path


def conf_folder() -> Traversable:
    """The conf folder of the checkout, else the copy that wheel and zip carry."""
    checkout = Path(__file__).parents[3] / "conf"
    return checkout if checkout.is_dir() else files("freshet").joinpath("_conf")
