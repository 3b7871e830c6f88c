"""Names of segments, from the position of each within the whole population."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

Position = Mapping[str, float]
"""Mean of each feature column over a segment, in standard deviations from the mean of all shoppers."""


@dataclass(frozen=True)
class SegmentRoles:
    """The feature column of each role; its values rise with the property that the role is named for.

    `silence`: time since the shopper last came; `frequency`: how often; `value`: money spent, None without prices;
    `tenure`: time since the first visit, None if all shoppers have the same.
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
    # silence, frequency, value, tenure: the mean of such a segment, in standard deviations
    "loyal": (-1.0, 1.3, 1.3, 0.6),  # comes often and lately, spends much
    "regular": (-0.6, 0.4, 0.4, 0.4),  # somewhat more often and more recently than the average shopper
    "big spenders": (0.1, -0.3, 1.2, 0.0),  # few visits, much money
    "new": (-1.0, -0.5, -0.5, -1.4),  # came first a short time ago
    "occasional": (-0.2, -0.6, -0.6, 0.5),  # comes now and then, known for long
    "lapsing": (0.7, 0.4, 0.4, 0.6),  # used to come often, not seen lately
    "one-time": (0.5, -1.0, -0.9, -0.5),  # hardly more than one visit, some time ago
    "lost": (1.2, -0.8, -0.7, 0.6),  # not seen for long, never came often
}


def named(segments: Sequence[Position], roles: SegmentRoles) -> list[str]:
    """A distinct name for each segment: the assignment of profiles with the smallest total distance.

    The distance is the sum of squared differences over the roles that exist. The names depend on the positions of the
    segments alone, not on their order. If there are more segments than profiles, the remaining ones are named after
    the nearest profile, with a number by rising distance ("lost 2").
    """
    all_roles = (roles.silence, roles.frequency, roles.value, roles.tenure)
    used = [index for index, column in enumerate(all_roles) if column is not None]
    positions = np.array([[segment[column] for column in roles.columns] for segment in segments])
    names = list(_PROFILES)
    profiles = np.array([_PROFILES[name] for name in names])[:, used]
    distances = ((positions[:, None, :] - profiles[None, :, :]) ** 2).sum(axis=2)
    result = {int(index): names[profile] for index, profile in zip(*linear_sum_assignment(distances), strict=True)}
    unnamed = [index for index in range(len(segments)) if index not in result]
    for index in sorted(unnamed, key=lambda index: (float(distances[index].min()), *positions[index])):
        nearest = names[int(distances[index].argmin())]
        used_names = set(result.values())
        number = next(number for number in range(2, len(segments) + 2) if f"{nearest} {number}" not in used_names)
        result[index] = f"{nearest} {number}"
    return [result[index] for index in range(len(segments))]


def value_order(segments: Sequence[Position], roles: SegmentRoles) -> list[int]:
    """The segments by falling value (by frequency without prices); of equal ones the most recently seen first."""
    worth = roles.value or roles.frequency
    return sorted(range(len(segments)), key=lambda n: (-segments[n][worth], segments[n][roles.silence]))
