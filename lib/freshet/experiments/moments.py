"""What is known of an arm: numbers of shoppers, means and covariances, from which every comparison follows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from freshet.core.errors import InputError

NUMERATOR, DENOMINATOR, COVARIATE = range(3)


@dataclass(frozen=True)
class ArmMoments:
    """Means [3] and sample covariances [3, 3], over the shoppers of an arm, of a metric's numerator and denominator
    and of a covariate from before the experiment.

    A metric is the ratio of the two sums, such as clicks per list: of a plain mean per shopper the denominator is 1.
    Without a covariate it is 0. Covariances are 0 with fewer than two shoppers.
    """

    shoppers: int
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def of_values(
        cls, numerator: ArrayLike, denominator: ArrayLike | None = None, covariate: ArrayLike | None = None
    ) -> "ArmMoments":
        """From an element per shopper. Raises InputError for lengths that differ and numbers that are not finite."""
        top = np.asarray(numerator, dtype=np.float64)
        below = np.ones_like(top) if denominator is None else np.asarray(denominator, dtype=np.float64)
        before = np.zeros_like(top) if covariate is None else np.asarray(covariate, dtype=np.float64)
        lengths = [len(array) for array in (top, below, before)]
        if len(set(lengths)) > 1:
            raise InputError("arrays of an arm have different lengths", where="experiments", found=str(lengths))
        values = np.stack([top, below, before])
        if not np.isfinite(values).all():
            raise InputError("values of shoppers must be finite numbers", where="experiments")
        if values.shape[1] < 2:
            return cls(values.shape[1], values.sum(axis=1), np.zeros((3, 3)))
        return cls(values.shape[1], values.mean(axis=1), np.cov(values))

    @property
    def value(self) -> float:
        """The ratio of the means; NaN where the denominator is 0, as in an arm without lists."""
        return float(self.mean[NUMERATOR] / self.mean[DENOMINATOR]) if self.mean[DENOMINATOR] else float("nan")

    @property
    def influence(self) -> NDArray[np.float64]:
        """[3]: the weights that turn a shopper's deviations from the means into the error of `value`, to first order
        (delta method)."""
        return np.array([1.0, -self.value, 0.0]) / self.mean[DENOMINATOR]
