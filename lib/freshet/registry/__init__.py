"""The only package that uses MLflow: training runs, registered models, and which version is champion.

Everything is in one folder of the home: a SQLite database and a plain folder of artifacts. Nothing leaves the machine.
"""

from freshet.registry.runs import TrainingRun
from freshet.registry.versions import CHALLENGER, CHAMPION, ModelVersion, Registry

__all__ = ["CHALLENGER", "CHAMPION", "ModelVersion", "Registry", "TrainingRun"]
