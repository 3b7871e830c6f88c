"""Table similar_items, as the batch and the stream write it."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.contracts import SIMILAR_ITEMS
from freshet.core.errors import BusyError
from freshet.ranking.artifact import Artifact
from freshet.ranking.item_lists import similar_items
from freshet.registry.versions import ModelVersion
from freshet.rules.list_rules import RulesOfModel
from freshet.runs.job import Job
from freshet.runs.merchandising import rules_in_force
from freshet.tables.leases import table_leases
from freshet.tables.small_writes import replace_whole


def write_similar_items(job: Job, version: ModelVersion, artifact: Artifact, left_out: NDArray[np.int64]) -> None:
    """Replaces the table with the neighbours of a version's items, without items `left_out`, given by position; as
    large as the catalogue, and without Spark."""
    made = similar_items(artifact, length=job.settings.lists.similar_length, left_out=left_out)
    names = pa.repeat(version.model_version, made.num_rows)
    rows = made.append_column("model_version", names).select(SIMILAR_ITEMS.column_names)
    replace_whole(job.warehouse, rows, SIMILAR_ITEMS)


@dataclass
class SimilarItems:
    """The table as a stream keeps it current: written when the model, or the set of items that are in nobody's list,
    has changed."""

    job: Job
    _written: tuple[str, bytes] | None = field(default=None, init=False)

    def refresh(self, version: ModelVersion) -> None:
        """Writes the table if it is outdated. While another process writes it, this is left to the next call."""
        artifact = Artifact.load(version.folder)
        rules = rules_in_force(self.job.warehouse, self.job.now(), self.job.settings.rules)
        left_out = RulesOfModel(rules, artifact.items).left_out_for_all()
        current = version.model_version, left_out.tobytes()
        if current == self._written:
            return
        try:
            with table_leases(self.job.home.locks, [SIMILAR_ITEMS.name]):
                write_similar_items(self.job, version, artifact, left_out)
        except BusyError:
            return
        self._written = current
