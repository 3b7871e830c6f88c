"""Parameters of the search: the values to try and the limits of its effort."""

from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, model_validator

from freshet.core.parameters import parameters
from freshet.models.items.item_model import FitLimits
from freshet.models.items.registry import ITEM_MODELS
from freshet.tuning.study import Effort

T = TypeVar("T")
Choices = tuple[T, ...]
AtLeastOne = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]


@parameters
class SearchParameters:
    """The values that a search may try: factor models from all combinations of the lists, starting with the first."""

    trials: int = Field(ge=1, description="most factor models to try, proposed by Optuna")
    trials_at_once: int = Field(
        ge=1, description="trials, or models of one fit, that run in parallel; each uses a task and its memory_gb"
    )
    patience: int = Field(ge=1, description="consecutive trials that gain less than min_gain before the search ends")
    ranks: Choices[AtLeastOne] = Field(min_length=1, description="length of factor vectors")
    max_iters: Choices[AtLeastOne] = Field(
        min_length=1, description="ALS iterations; more of them can make a model worse"
    )
    reg_params: Choices[NotNegative] = Field(
        min_length=1, description="regularisation: times the number of positive strengths of a shopper or item ..."
    )
    reg_power: float = Field(
        ge=0, le=2, description="... to this power; 1 as in MLlib, the only value that engine mllib supports"
    )
    alphas: Choices[NotNegative] = Field(min_length=1, description="confidence = 1 + alpha * strength")
    seed: int = Field(description="random seed of the initial vectors and of the proposals")
    item_half_lives_days: Choices[NotNegative] = Field(
        min_length=1, description="half-life of the strengths that train item vectors"
    )
    min_strengths: Choices[float] = Field(
        min_length=1, description="strengths below this share of a new target event are left out of training"
    )
    user_half_lives_days: Choices[NotNegative] = Field(
        min_length=1, description="half-life of the strengths that are folded in"
    )
    own_half_lives_days: Choices[NotNegative] = Field(min_length=1, description="half-life of the frequency terms")
    own_steps: Choices[AtLeastOne] = Field(
        description="steps ago, 1 being the newest: terms for the items of these baskets or clicks; empty: none"
    )
    candidates_per_term: int = Field(
        ge=1, description="best items of each term, per shopper, that the search of weights ranks"
    )
    rounds: int = Field(ge=1, description="rounds of coordinate ascent")
    min_gain: float = Field(description="NDCG that a round must gain for another one to follow")
    max_validation_users: int = Field(description="most shoppers that a search is evaluated on, chosen by hash")
    min_validation_users: int = Field(
        ge=1, description="with fewer there is no search and no factor model: own items come first, then popular ones"
    )

    @model_validator(mode="after")
    def _values_differ(self) -> Self:
        grids = {**self.space, "user_half_lives_days": self.user_half_lives_days,
                 "own_half_lives_days": self.own_half_lives_days, "own_steps": self.own_steps}  # fmt: skip
        if repeated := [name for name, values in grids.items() if len(set(values)) < len(values)]:
            raise ValueError(f"the values of a grid must differ, not so for {', '.join(repeated)}")
        return self

    @property
    def space(self) -> dict[str, tuple[float, ...]]:
        """The values of a factor model's settings, by name."""
        return {
            "rank": self.ranks,
            "max_iter": self.max_iters,
            "reg_param": self.reg_params,
            "alpha": self.alphas,
            "item_half_life_days": self.item_half_lives_days,
            "min_strength": self.min_strengths,
        }

    @property
    def effort(self) -> Effort:
        """The limits of trying factor models."""
        return Effort(self.trials, self.trials_at_once, self.patience, self.min_gain, self.seed)


@parameters
class RankerParameters:
    """The trees that correct the blend's scores of the best items of each shopper."""

    trees: Choices[AtLeastOne] = Field(
        description="numbers of trees to try; the fewest within one standard error of the best are taken; empty: no "
        "trees"
    )
    candidates: int = Field(ge=1, description="best items of a shopper by the blend whose scores are corrected")
    min_shoppers: int = Field(ge=1, description="with fewer shoppers to learn from there are no trees")
    folds: int = Field(ge=2, description="parts of the shoppers, of which each is judged by trees fitted on the others")
    learning_rate: float = Field(gt=0, le=1, description="share of each tree's correction that is added")
    leaves: int = Field(ge=2, description="most leaves of a tree")
    min_leaf_rows: int = Field(ge=1, description="fewest candidates of a leaf")
    truncation: int = Field(ge=1, description="positions that count in the fit")
    feature_share: float = Field(gt=0, le=1, description="features that each tree may use, drawn at random")
    row_share: float = Field(gt=0, le=1, description="candidates that each tree is fitted on, drawn at random")
    seed: int = Field(description="random seed of the folds and draws")


@parameters
class ItemModelParameters:
    """The item models: the values to try for each, and their size limits. The configuration of each model that alone
    ranks best on validation enters the blend. `models`: the settings of each registered model by name, each in a
    section of its own."""

    most_items: int = Field(
        ge=1, description="items that the linear and the next-item model cover: those with the most shoppers"
    )
    memory_gb: float = Field(
        gt=0, description="GB that one fit of either may use; search.trials_at_once fits run in parallel"
    )
    models: dict[str, Any] = Field()

    @staticmethod
    def sections() -> dict[str, type]:
        """The class of each section of `models`, by its name."""
        return {model.name: model.settings for model in ITEM_MODELS}

    def limits(self, threads: int) -> FitLimits:
        """The limits of a fit on this many threads."""
        return FitLimits(self.most_items, self.memory_gb, threads)

    def options(self) -> dict[str, list[Any]]:
        """The configurations to try by model; models without any are missing."""
        every = {name: ITEM_MODELS[name].options(settings) for name, settings in self.models.items()}
        return {name: options for name, options in every.items() if options}

    def half_lives(self) -> set[float | None]:
        """The half-lives of all strengths that the options are fitted on."""
        return {
            days
            for name, options in self.options().items()
            for option in options
            for days in ITEM_MODELS[name].half_lives(option)
        }
