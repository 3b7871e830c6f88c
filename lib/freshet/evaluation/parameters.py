"""Parameters of the evaluation and of the gate."""

from typing import Annotated

from pydantic import Field, field_validator

from freshet.contracts.events import GA4_EVENT_NAMES
from freshet.core.parameters import in_words, one_of, parameters
from freshet.evaluation.ranking import RANKING_METRICS


@parameters
class EvaluationParameters:
    """Metrics, shoppers and baselines of the evaluation. The neighbours are those of kernels.Nearness."""

    ks: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        min_length=1, description="list lengths (k) at which lists are evaluated"
    )
    bootstrap_samples: int = Field(ge=100, description="resamples of shoppers behind each 95 % interval")
    seed: int = Field(description="random seed of the resamples")
    target_order: tuple[str, ...] = Field(
        min_length=1, description="candidates for the target event; the first frequent one is used"
    )
    min_target_users: int = Field(ge=1, description="fewest shoppers with an event for it to count as frequent")
    max_users: int = Field(ge=1, description="most shoppers that lists are evaluated on, chosen by hash")
    compared_shoppers: int = Field(
        ge=1, description="most shoppers by whom the items of a list are compared, for its diversity; chosen by hash"
    )
    baseline_half_lives_days: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        min_length=1, description="days, 0: no decay; chosen on validation for each plain baseline"
    )
    baseline_windows_days: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        description="days of recent popularity; chosen on validation"
    )
    fill_window_days: int = Field(
        ge=1, description="days of the popularity that fills up the lists of baselines and breaks ties"
    )
    item_neighbours: int = Field(ge=1, description="neighbours of an item")
    item_shrinkage: float = Field(
        ge=0, description="added to the denominator of item similarities: damps pairs with little evidence; 0: off"
    )
    item_asymmetry: float = Field(
        ge=0, le=2, description="0 to 2; 1: plain cosine and Pearson; larger values give less weight to popular items"
    )
    user_neighbours: int = Field(ge=1, description="neighbours of a shopper")
    user_shrinkage: float = Field(ge=0, description="as item_shrinkage, for shoppers")

    @field_validator("ks")
    @classmethod
    def _differ(cls, ks: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(ks)) < len(ks):
            raise ValueError("must hold different numbers")
        return ks

    @field_validator("target_order")
    @classmethod
    def _are_events(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in GA4_EVENT_NAMES]
        if unknown:
            raise ValueError(f"must hold GA4 event names, not {', '.join(unknown)}")
        return names


@parameters
class GateParameters:
    """When a challenger becomes champion: `metric` at `k` is compared on the same shoppers, and the lower end of the
    interval of the difference may be below 0 by a tolerance, in units of the metric."""

    metric: Annotated[str, one_of(RANKING_METRICS)] = Field(description=in_words(RANKING_METRICS))
    k: int = Field(ge=1, description="list length at which it is compared")
    champion_tolerance: float = Field(
        ge=0, lt=1, description="how far below 0 the lower end of the interval of challenger minus champion may be"
    )
    baseline_tolerance: float = Field(ge=0, lt=1, description="the same for challenger minus each plain baseline")
    min_users: int = Field(ge=1, description="tasks evaluated on fewer shoppers do not decide")
