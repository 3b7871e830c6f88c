"""Which arm a shopper is in: computed from the shopper's id alone, here, in Spark or in the shop's application.

1. A shopper's bucket of a layer is `bucket("layer", layer, user_id)`. The experiment of that layer in whose buckets it
   is has the shopper; experiments of a layer have different buckets, so that they never share one.
2. A shopper's bucket within the experiment is `bucket("experiment", salt, user_id)`, independent of the first.
   The arm in whose slice of these it is has the shopper; in no slice: no arm.

`bucket(kind, name, user_id)` is the number written by the first 13 hexadecimal digits of the SHA-256 of the UTF-8 text
`kind:name:user_id`, modulo 10,000. 13 digits are 52 bits, a whole number that every language holds exactly.
`conf/experiments.toml` has some to check an implementation with.

Slices lie one after the other, each as wide as its arm may become (`up_to`), and an arm has the first part of its own:
as its share grows it takes shoppers that had no arm, and no other arm changes.
"""

import hashlib
from collections.abc import Iterator
from itertools import accumulate

from freshet.core.errors import InputError
from freshet.experiments.experiment import BUCKETS, Experiment

HASH_DIGITS = 13
"""Hexadecimal digits of the hash that are read as a number."""

LAYER, WITHIN = "layer", "experiment"
"""Kinds of buckets."""


def bucket(kind: str, name: str, user_id: str) -> int:
    """The bucket, from 0 to 9,999. Raises InputError for an id that is no valid Unicode text."""
    try:
        text = f"{kind}:{name}:{user_id}".encode()
    except UnicodeEncodeError:
        raise InputError("a shopper's id is no valid Unicode text", where="assignment", found=repr(user_id)) from None
    return int(hashlib.sha256(text).hexdigest()[:HASH_DIGITS], 16) % BUCKETS


def arm_of(experiment: Experiment, user_id: str) -> str | None:
    """The name of the shopper's arm; None if the experiment, or each of its arms, has other shoppers. Times and
    `enabled` do not matter here."""
    if not experiment.first_bucket <= bucket(LAYER, experiment.layer, user_id) < experiment.end_bucket:
        return None
    place = bucket(WITHIN, experiment.salt, user_id)
    return next((name for name, first, end in slices(experiment) if first <= place < end), None)


def slices(experiment: Experiment) -> Iterator[tuple[str, int, int]]:
    """(arm, first, end) of each arm: its buckets within the experiment, from `first` to before `end`."""
    starts = accumulate((round(arm.up_to * BUCKETS) for arm in experiment.arms), initial=0)
    for arm, first in zip(experiment.arms, starts, strict=False):
        yield arm.name, first, first + round(arm.share * BUCKETS)
