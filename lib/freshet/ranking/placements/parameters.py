"""Parameters of placements."""

from typing import Self

from pydantic import Field, model_validator

from freshet.core.parameters import parameters
from freshet.ranking.placements.registry import PLACEMENTS


@parameters
class PlacementParameters:
    """The placements of a page, and what bounds them."""

    served: tuple[str, ...] = Field(
        description="placements of a page, in their order: buy_again, for_you, session, because_you_took, goes_with"
    )
    length: int = Field(ge=1, description="items of a placement")
    least_items: int = Field(ge=1, description="a placement with fewer items is left out for this shopper")
    no_repeats: bool = Field(description="an item stands once on a page: in the first placement that has it")
    visit_minutes: float = Field(
        gt=0, description="a visit, for session, ends when nothing happens for so long; afterwards there is no session"
    )
    cart_days: float = Field(gt=0, description="days that an item stays in the cart, for goes_with")

    @model_validator(mode="after")
    def _are_known(self) -> Self:
        if unknown := [name for name in self.served if name not in PLACEMENTS]:
            known = ", ".join(PLACEMENTS.names)
            raise ValueError(f"served: there is no placement {', '.join(unknown)} (there are {known})")
        if len(set(self.served)) < len(self.served):
            raise ValueError("served: a placement is named twice")
        return self
