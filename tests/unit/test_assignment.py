"""Arms of shoppers: the documented hash, shares, arms that grow without moving anybody, layers that do not share."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from freshet.core.errors import InputError
from freshet.experiments.assignment import LAYER, WITHIN, arm_of, bucket, slices
from freshet.experiments.experiment import BUCKETS, Arm
from tests.experiments_data import experiment

pytestmark = pytest.mark.unit

SHOPPERS = [f"{n}" for n in range(40_000)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("layer:lists:12345", 4801), ("experiment:new ranker:12345", 4033), ("layer:lists:Zoë Ø 🛒", 6607)],
)
def test_the_hash_is_the_one_that_is_documented(text: str, expected: int) -> None:
    """Expected: `h=$(printf '%s' "$text" | sha256sum | cut -c1-13); echo $((16#$h % 10000))`."""
    kind, name, user_id = text.split(":", 2)
    assert bucket(kind, name, user_id) == expected


def test_an_id_that_is_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="no valid Unicode"):
        bucket(LAYER, "lists", "\ud800")


def test_buckets_are_equally_full_and_those_of_layers_and_experiments_independent() -> None:
    names = [(LAYER, "lists"), (LAYER, "search"), (WITHIN, "lists"), (WITHIN, "ranker"), (WITHIN, "ranker2")]
    tenths = [np.array([bucket(kind, name, one) for one in SHOPPERS]) // (BUCKETS // 10) for kind, name in names]
    for own in tenths:
        assert chisquare(np.bincount(own, minlength=10)).pvalue > 0.001
    for n, own in enumerate(tenths):
        for other in tenths[:n]:
            table = np.bincount(own * 10 + other, minlength=100).reshape(10, 10)
            assert chi2_contingency(table).pvalue > 0.001


def test_arms_have_their_shares_and_the_rest_has_none() -> None:
    one = experiment(0.5, 0.2)
    counts = Counter(arm_of(one, shopper) for shopper in SHOPPERS)
    for name, share in (("control", 0.5), ("b", 0.2), (None, 0.3)):
        assert counts[name] / len(SHOPPERS) == pytest.approx(share, abs=0.01)


@given(st.lists(st.tuples(st.integers(1, 2_500), st.integers(0, 2_500)), min_size=2, max_size=4))
def test_an_arm_that_grows_takes_only_shoppers_without_an_arm(grown: list[tuple[int, int]]) -> None:
    before = experiment(*(share / BUCKETS for share, _ in grown))
    arms = tuple(Arm(arm.name, min(0.25, (share + more) / BUCKETS), 0.25)
                 for arm, (share, more) in zip(before.arms, grown, strict=True))  # fmt: skip
    before = replace(before, arms=tuple(replace(arm, up_to=0.25) for arm in before.arms))
    after = replace(before, arms=arms)
    for shopper in SHOPPERS[:300]:
        was, now = arm_of(before, shopper), arm_of(after, shopper)
        assert was is None or was == now
    owned = [set(range(first, end)) for _, first, end in slices(after)]
    assert sum(len(one) for one in owned) == len(set.union(*owned))


def test_experiments_of_a_layer_never_share_a_shopper_and_those_of_others_do() -> None:
    first = experiment(0.5, 0.5, first_bucket=0, end_bucket=4_000)
    second = replace(first, name="two", salt="two", first_bucket=4_000, end_bucket=BUCKETS)
    elsewhere = replace(second, layer="search")
    assert not first.overlaps(second)
    both = [(arm_of(first, one), arm_of(second, one), arm_of(elsewhere, one)) for one in SHOPPERS[:5_000]]
    assert not any(own and other for own, other, _ in both)
    assert all(own or other for own, other, _ in both)
    assert sum(bool(own and other) for own, _, other in both) / 5_000 == pytest.approx(0.4 * 0.6, abs=0.03)


def test_overlapping_needs_the_same_layer_buckets_and_time() -> None:
    one = experiment(0.5, 0.5)
    assert one.overlaps(replace(one, name="two"))
    assert not one.overlaps(replace(one, layer="search"))
    over = replace(one, ends=one.starts.replace(day=8))
    assert not over.overlaps(replace(one, starts=one.starts.replace(day=8)))
    assert over.overlaps(replace(one, starts=one.starts.replace(day=7)))
    assert not replace(one, end_bucket=10).overlaps(replace(one, first_bucket=10))


def test_a_new_salt_deals_anew() -> None:
    one = experiment(0.5, 0.5)
    again = replace(one, salt="ranker, second time")
    same = [arm_of(one, shopper) == arm_of(again, shopper) for shopper in SHOPPERS[:10_000]]
    assert np.mean(same) == pytest.approx(0.5, abs=0.02)
