"""Spark's daemon for Python workers, with the modules that most of our work needs already loaded.

Workers are forks of it. Otherwise each would import the modules (0.7 s of a core) and set up the kernel compiler (0.2
s).
For sessions on this machine only, where the daemon can import this module just as workers can import ours.
"""

import gc

import numpy as np
from pyspark.daemon import manager

from freshet.numeric.top_k import put

# Loaded for the workers: scoring and writing of files.
from freshet.ranking.lists import shopper_lists as _shopper_lists  # noqa: F401
from freshet.tables.writers import worker_files as _worker_files  # noqa: F401

if __name__ == "__main__":
    put(np.full(1, -np.inf, np.float32), np.zeros(1, np.int64), np.float32(0.0), 0)
    # A worker collects garbage after each task. That would visit all objects loaded here, for 80 ms every time, and
    # copy the memory that it shares with the other workers.
    gc.freeze()
    manager()
