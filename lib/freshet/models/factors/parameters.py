"""Parameters of the factor model and of the engine that fits it."""

from typing import Annotated

from pydantic import Field

from freshet.core.parameters import one_of, parameters

NATIVE, MLLIB, AUTO = "native", "mllib", "auto"
ENGINES = (NATIVE, MLLIB, AUTO)
"""The values of `engine`; with AUTO the size of the data decides between the two others."""


@parameters
class AlsParameters:
    """Hyper-parameters, with MLlib's names in snake case.

    With n the number of positive observations of a shopper or item, its vector x solves
    (Y'Y + Y_u' diag(alpha r) Y_u + reg_param n^reg_power I) x = Y_u' (1 + alpha r)
    (Hu, Koren, Volinsky 2008, eq. 4; the power as in Rendle et al. 2021, "Revisiting the Performance of iALS";
    MLlib's is 1). Training and fold-in solve the same equation. A weight w of unobserved pairs is expressed by alpha:
    dividing Hu's equation by w leaves alpha / w.

    `start` is the approximate length of shoppers' starting vectors; MLlib's is 1. With a small start the strongest
    tastes are found first, so that after few rounds less of the random start remains. It is not a setting, as it has
    been tried on published data only.
    """

    rank: int = Field(ge=1)
    max_iter: int = Field(ge=1)
    reg_param: float = Field(ge=0)
    alpha: float = Field(ge=0)
    seed: int = Field()
    # Recipes of models that were trained before these fields existed lack them.
    reg_power: float = Field(default=1.0, ge=0, le=2)
    start: float = Field(default=1.0, gt=0, le=100)


@parameters
class FactorisationParameters:
    """Where and how factor models are trained."""

    engine: Annotated[str, one_of(ENGINES)] = Field(
        description=f"{NATIVE}: one task on all its cores; {MLLIB}: any size; {AUTO}: native if it fits into memory_gb"
    )
    cg_steps: int = Field(
        ge=1,
        description="conjugate gradient steps per vector and half-step; 3 trained as well as the exact solution",
    )
    memory_gb: float = Field(
        gt=0, description="GB outside the JVM that native training may use; 4: about 100 million interactions"
    )
