"""Whether arms have the sizes that were planned. If not, something else than chance has chosen who is counted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln
from scipy.stats import chi2

from freshet.core.errors import InputError

_PRIOR_SHOPPERS = 100.0
"""With few, small deviations of large arms are found late; with many, large deviations of small arms."""


@dataclass(frozen=True)
class SampleRatio:
    """`p_value` is that of the chi-square test at a single look; `sequential_p_value` holds at every look at once: the
    probability that it is ever below p, with arms of the right sizes, is at most p."""

    p_value: float
    sequential_p_value: float


def sample_ratio(counts: Sequence[int], shares: Sequence[float]) -> SampleRatio:
    """Compares numbers of shoppers with planned `shares`, which need not add up to 1.

    A chi-square test that is repeated every day is sooner or later below any threshold, so decisions use the sequential
    one: 1 over the Bayes factor of a Dirichlet mixture of all shares against the planned ones (Lindon and Malek,
    "Anytime-valid inference for multinomial count data", NeurIPS 2022), which is a martingale while the planned ones
    are right. The mixture has mean `shares` and weighs as much as 100 shoppers: its standard deviation is 5 points
    where two arms are equal. It knows how many shoppers there are, not when they came.

    Both are 1 without shoppers. Raises InputError for fewer than two arms, lengths that differ, shares that are not
    above 0, and negative counts.
    """
    seen, planned = np.asarray(counts, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    if len(seen) != len(planned) or len(seen) < 2 or not (planned > 0.0).all() or (seen < 0.0).any():
        raise InputError(
            "sizes of arms cannot be compared", where="sample ratio",
            expected="two or more arms, each with a count of 0 or more and a share above 0",
            found=f"counts {list(counts)}, shares {list(shares)}",
        )  # fmt: skip
    planned = planned / planned.sum()
    total = seen.sum()
    if total == 0.0:
        return SampleRatio(1.0, 1.0)
    statistic = float(((seen - total * planned) ** 2 / (total * planned)).sum())
    prior = planned * _PRIOR_SHOPPERS
    log_factor = (
        gammaln(prior.sum()) - gammaln(prior.sum() + total)
        + (gammaln(prior + seen) - gammaln(prior) - seen * np.log(planned)).sum()
    )  # fmt: skip
    return SampleRatio(float(chi2.sf(statistic, len(seen) - 1)), float(np.exp(-max(log_factor, 0.0))))
