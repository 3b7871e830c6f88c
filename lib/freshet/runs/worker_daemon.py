"""Spark's daemon of Python workers, with the modules loaded that most of our work needs.

Workers are forks of it. Each would else load them itself, 0.7 s of a core, and set up the compiler of kernels, 0.2 s.
For sessions of this machine, where the daemon finds this module as surely as workers find ours.
"""

import gc

import numpy as np
from pyspark.daemon import manager

from freshet.numeric.top_k import put

# Loaded for the workers: what they write, and how they score.
from freshet.ranking import lists as _lists  # noqa: F401
from freshet.tables.writers import worker_files as _worker_writes  # noqa: F401

if __name__ == "__main__":
    put(np.full(1, -np.inf, np.float32), np.zeros(1, np.int64), np.float32(0.0), 0)
    # After each task a worker collects garbage. It would look at all that was loaded here, for 80 ms every time, and
    # by that make the memory its own that it shares with the other workers.
    gc.freeze()
    manager()
