"""Table similar_items, as the batch and the stream write it."""

from dataclasses import dataclass, field

import pyarrow as pa

from freshet.contracts import SIMILAR_ITEMS
from freshet.core.errors import BusyError
from freshet.ranking.artifact import Artifact
from freshet.ranking.item_lists import similar_items
from freshet.registry.versions import ModelVersion
from freshet.runs.job import Job
from freshet.tables.leases import table_leases
from freshet.tables.lookups.item_states import unavailable_items
from freshet.tables.small_writes import replace_whole


def write_similar_items(job: Job, version: ModelVersion, artifact: Artifact, unavailable: pa.Array) -> None:
    """Replaces the table with the neighbours of a version's items; as large as the catalogue, and without Spark."""
    made = similar_items(artifact, length=job.settings.lists.similar_length, unavailable=unavailable)
    names = pa.repeat(version.model_version, made.num_rows)
    replace_whole(job.warehouse, made.append_column("model_version", names), SIMILAR_ITEMS)


@dataclass
class SimilarItems:
    """The table as a stream keeps it current: written when the model or the set of unavailable items has changed."""

    job: Job
    _written: tuple[str, pa.Array] | None = field(default=None, init=False)

    def refresh(self, version: ModelVersion) -> None:
        """Writes the table if it is outdated. While another process writes it, this is left to the next call."""
        unavailable = unavailable_items(self.job.warehouse, self.job.now())
        current = version.model_version, unavailable.sort()
        if current == self._written:
            return
        try:
            with table_leases(self.job.home.locks, [SIMILAR_ITEMS.name]):
                write_similar_items(self.job, version, Artifact.load(version.folder), unavailable)
        except BusyError:
            return
        self._written = current
