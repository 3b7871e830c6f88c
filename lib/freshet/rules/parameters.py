"""Parameters of rules."""

from pydantic import Field

from freshet.core.parameters import parameters


@parameters
class RuleParameters:
    """How rules are applied, and how what they change is measured."""

    candidates: int = Field(
        ge=1, description="best items of a shopper from which rules that change the order of a list choose"
    )
    effect_shoppers: int = Field(
        ge=0, description="most shoppers, chosen by hash, whose lists with and without rules are compared; 0: none"
    )
