"""Parameters of lists, and the recipe that a model's search has found."""

from dataclasses import dataclass

POLICIES = ("next_baskets", "new_items")
"""next_baskets: what a shopper had before may come again; new_items: it is left out."""


@dataclass(frozen=True)
class ListParameters:
    """What lists look like. `seen_policy`: a policy, or auto: next_baskets where at least `repeat_share` (0 to 1) of
    what shoppers took in the validation window they had had before, else new_items."""

    length: int
    seen_policy: str
    repeat_share: float
    anonymous_active_days: int
    similar_length: int
    popular_length: int

    def __post_init__(self) -> None:
        if self.seen_policy not in ("auto", *POLICIES):
            raise ValueError(f"seen_policy must be auto or one of {', '.join(POLICIES)}, is {self.seen_policy!r}")
        if not 0 <= self.repeat_share <= 1:
            raise ValueError("repeat_share must be within 0 and 1")
        if min(self.length, self.similar_length, self.popular_length) < 1:
            raise ValueError("lengths of lists must be 1 or more")
