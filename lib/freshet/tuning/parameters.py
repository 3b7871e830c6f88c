"""What the search may try, and how long."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SearchParameters:
    """The grids of a search. Half-lives in days, 0 stands for no decay.

    `unsearched_weights` are served where fewer than `min_validation_users` shoppers can be judged.
    Factor models are tried over half-lives at the first rank and number of iterations; then the other ranks at the best
    of them, then the other numbers of iterations: a factor model that is trained on can become worse again.
    """

    ranks: tuple[int, ...]
    max_iters: tuple[int, ...]
    reg_param: float
    reg_power: float
    alpha: float
    seed: int
    item_half_lives_days: tuple[float, ...]
    min_strengths: tuple[float, ...]
    user_half_lives_days: tuple[float, ...]
    neighbour_half_life_days: float
    neighbour_counts: tuple[int, ...]
    neighbour_asymmetry: float
    neighbour_shrinkage: float
    own_half_lives_days: tuple[float, ...]
    candidates_per_term: int
    rounds: int
    min_gain: float
    max_validation_users: int
    min_validation_users: int
    unsearched_weights: dict[str, float]

    def __post_init__(self) -> None:
        grids = (self.ranks, self.max_iters, self.item_half_lives_days, self.min_strengths, self.user_half_lives_days)
        if not all((*grids, self.neighbour_counts, self.own_half_lives_days)):
            raise ValueError("every grid needs at least one value")
        if min(*self.max_iters, self.candidates_per_term, self.rounds, self.min_validation_users) < 1:
            raise ValueError("max_iters, candidates_per_term, rounds and min_validation_users must be 1 or more")
