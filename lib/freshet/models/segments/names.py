"""Names of segments, from where each stands in the whole population."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

Stand = Mapping[str, float]
"""Mean of each feature column over a segment, in standard deviations from the mean of all shoppers."""


@dataclass(frozen=True)
class SegmentRoles:
    """Which feature column measures what; each rises with what it is named for.

    `silence`: time since the shopper last came; `frequency`: how often; `value`: money spent, None without prices;
    `tenure`: time since the first visit, None where everybody has the same.
    """

    silence: str
    frequency: str
    value: str | None
    tenure: str | None

    @property
    def columns(self) -> list[str]:
        """The columns of the roles that exist."""
        return [column for column in (self.silence, self.frequency, self.value, self.tenure) if column is not None]


_PROFILES: dict[str, tuple[float, float, float, float]] = {
    # silence, frequency, value, tenure: where the middle of such a segment stands, in standard deviations
    "loyal": (-1.0, 1.3, 1.3, 0.6),  # comes often and lately, spends much
    "regular": (-0.6, 0.4, 0.4, 0.4),  # somewhat more and later than the average shopper
    "big spenders": (0.1, -0.3, 1.2, 0.0),  # few visits, much money
    "new": (-1.0, -0.5, -0.5, -1.4),  # came first a short time ago
    "occasional": (-0.2, -0.6, -0.6, 0.5),  # comes now and then, known for long
    "lapsing": (0.7, 0.4, 0.4, 0.6),  # used to come often, silent of late
    "one-time": (0.5, -1.0, -0.9, -0.5),  # hardly more than one visit, some time ago
    "lost": (1.2, -0.8, -0.7, 0.6),  # silent for long, was never close
}


def named(segments: Sequence[Stand], roles: SegmentRoles) -> list[str]:
    """A name for each segment, all different: the assignment of profiles that lies closest to them in all.

    Closeness is the sum of squared distances over the roles that exist. It depends on where the segments stand alone,
    not on their order. More segments than profiles: those left over are named after the nearest one, with a number
    by falling closeness ("lost 2").
    """
    all_roles = (roles.silence, roles.frequency, roles.value, roles.tenure)
    used = [place for place, column in enumerate(all_roles) if column is not None]
    stands = np.array([[segment[column] for column in roles.columns] for segment in segments])
    names = list(_PROFILES)
    profiles = np.array([_PROFILES[name] for name in names])[:, used]
    distances = ((stands[:, None, :] - profiles[None, :, :]) ** 2).sum(axis=2)
    result = {int(place): names[profile] for place, profile in zip(*linear_sum_assignment(distances), strict=True)}
    left = [place for place in range(len(segments)) if place not in result]
    for place in sorted(left, key=lambda place: (float(distances[place].min()), *stands[place])):
        nearest = names[int(distances[place].argmin())]
        taken = set(result.values())
        number = next(number for number in range(2, len(segments) + 2) if f"{nearest} {number}" not in taken)
        result[place] = f"{nearest} {number}"
    return [result[place] for place in range(len(segments))]


def value_order(segments: Sequence[Stand], roles: SegmentRoles) -> list[int]:
    """The segments by falling value (frequency without prices); of equals the one that came last first."""
    worth = roles.value or roles.frequency
    return sorted(range(len(segments)), key=lambda n: (-segments[n][worth], segments[n][roles.silence]))
