"""What steers the factor model: its equation, and the engine that solves it."""

from dataclasses import dataclass

MLLIB, NATIVE, AUTO = "mllib", "native", "auto"


@dataclass(frozen=True)
class AlsParameters:
    """Hyper-parameters, by MLlib's names in snake case.

    With n the number of positive observations of a shopper or item, its vector x solves
    (Y'Y + Y_u' diag(alpha r) Y_u + reg_param n^reg_power I) x = Y_u' (1 + alpha r)
    (Hu, Koren, Volinsky 2008, eq. 4; the power as in Rendle et al. 2021, "Revisiting the Performance of iALS";
    MLlib's is 1). Trainer and fold-in solve the same. A weight w of unobserved pairs is expressed by alpha: dividing
    Hu's equation by w leaves alpha / w.

    `start` is the length of shoppers' starting vectors, about; MLlib's is 1. From a small one the strongest tastes are
    found first, so that few rounds keep less of what is drawn. Not a setting: tried on published data alone so far.
    """

    rank: int
    max_iter: int
    reg_param: float
    alpha: float
    seed: int
    # Recipes of models that were trained before there was a choice lack these.
    reg_power: float = 1.0
    start: float = 1.0

    def __post_init__(self) -> None:
        if self.rank < 1 or self.max_iter < 1:
            raise ValueError("rank and max_iter must be 1 or more")
        if self.reg_param < 0 or self.alpha < 0:
            raise ValueError("reg_param and alpha must be 0 or more")
        if not 0 <= self.reg_power <= 2:
            raise ValueError("reg_power must be within 0 and 2")
        if not 0 < self.start <= 100:
            raise ValueError("start must be above 0 and at most 100")


@dataclass(frozen=True)
class FactorisationParameters:
    """Where and how factor models are trained.

    engine: native (one task, all of its cores), mllib (any size) or auto (native where `memory_gb` suffice).
    cg_steps: steps of conjugate gradients per vector and half-step, each from the vector of the round before.
    memory_gb: GB (10^9 bytes) outside the JVM that a native training may take.
    """

    engine: str
    cg_steps: int
    memory_gb: float

    def __post_init__(self) -> None:
        if self.engine not in (MLLIB, NATIVE, AUTO):
            raise ValueError(f"engine must be {MLLIB}, {NATIVE} or {AUTO}, is {self.engine!r}")
        if self.cg_steps < 1 or self.memory_gb <= 0:
            raise ValueError("cg_steps must be 1 or more, memory_gb above 0")
