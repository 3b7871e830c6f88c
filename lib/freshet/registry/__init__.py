"""The only room that touches MLflow: training runs, registered models, who is champion.

Everything lies in one folder of the home: a SQLite database and a plain folder of artifacts. Nothing leaves the
machine.
"""

from freshet.registry.runs import TrainingRun
from freshet.registry.versions import CHALLENGER, CHAMPION, ModelVersion, Registry

__all__ = ["CHALLENGER", "CHAMPION", "ModelVersion", "Registry", "TrainingRun"]
