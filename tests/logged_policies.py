"""Logs drawn from a logging policy of which everything is known: the true value of another policy, propensities, and
the expected reward of every action."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.experiments.counterfactual.estimators import ESTIMATORS, policy_value
from freshet.experiments.counterfactual.logged_rounds import LoggedRounds

Array = NDArray[Any]


@dataclass(frozen=True)
class World:
    """`rate` and `sharpness` set how rare rewards are and how far the two policies differ."""

    rounds: int
    rate: float
    sharpness: float
    rounds_per_shopper: int = 1
    model_error: float = 0.3
    contexts: int = 40
    actions: int = 10

    def __post_init__(self) -> None:
        rng = np.random.default_rng(5)
        taste = rng.normal(size=(self.contexts, self.actions))
        object.__setattr__(self, "reward", self.rate * np.exp(0.5 * taste) / np.exp(0.125))
        object.__setattr__(self, "logging", _softmax(0.5 * self.sharpness * rng.normal(size=taste.shape)))
        object.__setattr__(self, "evaluated", _softmax(self.sharpness * taste))
        # A model that is right for the direct method would hide what the others are for.
        error = np.exp(self.model_error * rng.normal(size=taste.shape))
        object.__setattr__(self, "model", self.reward * error)  # type: ignore[attr-defined]

    @property
    def truth(self) -> float:
        """The value of the evaluated policy: contexts are equally frequent."""
        return float((self.evaluated * self.reward).sum(axis=1).mean())  # type: ignore[attr-defined]

    def drawn(self, seed: int, *, model: Array | None = None) -> LoggedRounds:
        """A log; a shopper has one context and, with several rounds, a habit of rewarding or not."""
        rng = np.random.default_rng(seed)
        reward, logging, evaluated = self.reward, self.logging, self.evaluated  # type: ignore[attr-defined]
        model = self.model if model is None else model  # type: ignore[attr-defined]
        shoppers = self.rounds // self.rounds_per_shopper
        # Between 1 and twice the mean, less one.
        counts = rng.integers(1, 2 * self.rounds_per_shopper, shoppers)
        shopper = np.repeat(np.arange(shoppers), counts)
        # Independent of the number of rounds, so that the truth is that of the mean shopper.
        context = rng.integers(0, self.contexts, shoppers)[shopper]
        habit = rng.choice([0.2, 1.8], shoppers)[shopper] if self.rounds_per_shopper > 1 else 1.0
        draws = rng.random(len(shopper))[:, None]
        action = (draws > logging.cumsum(axis=1)[context]).sum(axis=1).clip(max=self.actions - 1)
        chance = np.minimum(1.0, habit * reward[context, action])
        return LoggedRounds(
            reward=(rng.random(len(shopper)) < chance).astype(float),
            propensity=logging[context, action],
            probability=evaluated[context, action],
            cluster=shopper if self.rounds_per_shopper > 1 else None,
            predicted=model[context, action],
            expected=(evaluated * model).sum(axis=1)[context],
        )


def _softmax(scores: Array) -> Array:
    grown = np.exp(scores - scores.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


WORLDS = {
    "plain": World(rounds=1_000, rate=0.3, sharpness=1.0),
    "few_rounds": World(rounds=300, rate=0.3, sharpness=0.7),
    "rare_clicks": World(rounds=10_000, rate=0.005, sharpness=0.7),
    "large_weights": World(rounds=2_000, rate=0.2, sharpness=1.5),
    "shoppers": World(rounds=4_000, rate=0.1, sharpness=0.7, rounds_per_shopper=8),
}


def covered(world: World, logs: int) -> dict[str, float]:
    """By estimator the share of `logs` drawn logs whose 95 % interval holds the truth; of the direct method with a
    model that is right, as its interval knows nothing of errors of the model."""
    hits = dict.fromkeys(ESTIMATORS, 0)
    for seed in range(logs):
        given, with_true_model = world.drawn(seed), world.drawn(seed, model=world.reward)  # type: ignore[attr-defined]
        for name in ESTIMATORS:
            found = policy_value(with_true_model if name == "dm" else given, name)
            hits[name] += found.low is not None and found.high is not None and found.low <= world.truth <= found.high
    return {name: count / logs for name, count in hits.items()}
