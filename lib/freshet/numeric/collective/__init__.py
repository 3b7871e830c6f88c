"""Tasks of one stage that hold their rows in memory and add up arrays over all of them, pass after pass.

Iterative fits need this: rows are read once, and every pass costs a round trip of a few kilobytes instead of a Spark
job. Spark's own exchange between the tasks of a barrier stage (`BarrierTaskContext.allGather`) polls for its answer
once a second, which is longer than a whole fit takes. Here the tasks use sockets to the driver, with a round trip of
about a millisecond.
"""

from freshet.numeric.collective.peers import Alone, Peers
from freshet.numeric.collective.stage import Work, over_partitions

__all__ = ["Alone", "Peers", "Work", "over_partitions"]
