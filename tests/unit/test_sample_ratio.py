"""Sizes of arms: the two p-values by hand, and how often right sizes are called wrong when one looks every day."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from freshet.core.errors import InputError
from freshet.experiments.sample_ratio import sample_ratio

pytestmark = pytest.mark.unit


def test_at_a_single_look_it_is_the_chi_square_test() -> None:
    found = sample_ratio([520, 480, 310], [2, 2, 1])
    assert found.p_value == pytest.approx(chisquare([520, 480, 310], [524, 524, 262]).pvalue)


@given(st.lists(st.integers(0, 2), max_size=60))
def test_the_factor_is_a_product_of_predictions(arms: list[int]) -> None:
    # Each shopper's arm is predicted by what was seen before and 100 imagined shoppers as planned; the order does not
    # matter.
    shares, seen, factor = (0.7, 0.2, 0.1), [0, 0, 0], 1.0
    for arm in arms:
        factor *= (100 * shares[arm] + seen[arm]) / (100 + sum(seen)) / shares[arm]
        seen[arm] += 1
    assert sample_ratio(seen, [7, 2, 1]).sequential_p_value == pytest.approx(min(1.0, 1 / factor))


def test_who_looks_all_the_time_is_wrong_as_rarely_as_is_said_and_chi_square_is_not() -> None:
    rng = np.random.default_rng(3)
    sequential = chi_square = 0
    for _ in range(300):
        counts = np.array([0, 0])
        seen = []
        for _ in range(60):
            day = rng.binomial(100, 0.5)
            counts += (day, 100 - day)
            seen.append(sample_ratio(counts.tolist(), [0.5, 0.5]))
        sequential += any(one.sequential_p_value < 0.05 for one in seen)
        chi_square += any(one.p_value < 0.05 for one in seen)
    assert sequential / 300 <= 0.05
    assert chi_square / 300 > 0.2


def test_a_lost_tenth_of_an_arm_is_found() -> None:
    assert sample_ratio([10_000, 9_000], [0.5, 0.5]).sequential_p_value < 1e-6
    assert sample_ratio([1_000, 1_003], [0.5, 0.5]).sequential_p_value == 1.0
    assert sample_ratio([0, 0], [0.5, 0.5]).p_value == 1.0


@pytest.mark.parametrize(
    ("counts", "shares"), [([1], [1.0]), ([1, 2], [1.0]), ([1, 2], [1.0, 0.0]), ([-1, 2], [0.5, 0.5])]
)
def test_sizes_that_cannot_be_compared_are_refused(counts: list[int], shares: list[float]) -> None:
    with pytest.raises(InputError, match="cannot be compared"):
        sample_ratio(counts, shares)
