"""Outlier limits on designed quantiles, without Spark."""

import dataclasses
import math
import tomllib
from pathlib import Path

import numpy as np
import pytest

from freshet.cleaning.outliers import NO_LIMITS, limits_of
from freshet.cleaning.parameters import CleaningParameters

BASE = Path(__file__).parents[2] / "conf" / "base.toml"
PARAMS = CleaningParameters(**tomllib.loads(BASE.read_text(encoding="utf-8"))["cleaning"])
LOGS = np.linspace(0.0, 4.0, 1001)
"""Even from 0 to 4: median 2, MAD 1, quartiles 1 and 3."""


def test_robust_z_limits_lie_that_many_scaled_deviations_from_the_median() -> None:
    limits = limits_of(LOGS, dataclasses.replace(PARAMS, outlier_method="robust_z", outlier_robust_z=2.0))
    assert limits.high == pytest.approx(math.exp(2 + 2 / 0.6745), rel=1e-2)
    assert limits.low == pytest.approx(math.exp(2 - 2 / 0.6745), rel=1e-2)


def test_iqr_limits_lie_that_many_ranges_outside_the_quartiles() -> None:
    limits = limits_of(LOGS, dataclasses.replace(PARAMS, outlier_method="iqr", outlier_iqr_fences=1.5))
    assert limits.high == pytest.approx(math.exp(3 + 1.5 * 2))
    assert limits.low == pytest.approx(math.exp(1 - 1.5 * 2))


@pytest.mark.parametrize("method", ["robust_z", "iqr"])
def test_equal_values_give_no_limits(method: str) -> None:
    assert limits_of(np.zeros(1001), dataclasses.replace(PARAMS, outlier_method=method)) == NO_LIMITS


@pytest.mark.parametrize(
    ("key", "value"),
    [("outlier_method", "sigma"), ("outlier_robust_z", 0.0), ("bot_events_per_day", -1), ("item_state_days", 0),
     ("warn_refused_share", 2.0), ("late_after_hours", -1.0)],
)  # fmt: skip
def test_impossible_setting_is_named(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=key):
        dataclasses.replace(PARAMS, **{key: value})  # type: ignore[arg-type]
