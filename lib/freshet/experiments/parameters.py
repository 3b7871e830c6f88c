"""Parameters of experiments."""

from pydantic import Field

from freshet.core.parameters import parameters


@parameters
class ExperimentParameters:
    """How sure a decision is, and which events count for it."""

    alpha: float = Field(
        gt=0, lt=0.5, description="probability of a wrong decision about equal arms, however often it is looked at"
    )
    sample_ratio_alpha: float = Field(
        gt=0, lt=0.5, description="the same for calling an experiment invalid because arms have the wrong sizes"
    )
    planned_shoppers: int = Field(
        ge=1, description="shoppers of both compared arms at which intervals are narrowest, relative to fixed ones"
    )
    min_shoppers: int = Field(ge=2, description="fewest shoppers of an arm for it to be compared")
    covariate_days: int = Field(
        ge=0, description="days before the start whose events make comparisons sharper (CUPED); 0: off"
    )
    click_window_hours: float = Field(
        ge=0, description="hours after a click on a listed item in which an order of it counts for the list"
    )
    view_window_hours: float = Field(
        ge=0, description="the same after an item was only shown; 0: orders count after clicks alone"
    )
