"""How often equal arms are told apart by whoever looks after every shopper, and what sureness costs."""

from typing import Any

from freshet.experiments.sequential import standard_errors
from tests.equal_arms import ALPHA, OUTCOMES, PLANNED_SHOPPERS, false_alarms


def experiments(quick: bool, seed: int = 1) -> dict[str, Any]:
    """false_alarms_*: the share of 10,000 simulated experiments with equal arms of 5,000 shoppers in which the
    interval is ever on one side of 0, looked at after every shopper from the 100th of each arm on, by kind of outcome;
    fixed_*: the same with fixed 95 % intervals. most_false_alarms is the highest of ours.

    wider_at_*: how many times as wide as the fixed one our interval is, at multiples of the planned shoppers.
    """
    shops, shoppers = (500, 2_000) if quick else (10_000, 5_000)
    found: dict[str, Any] = {}
    shares = []
    for outcome in OUTCOMES:
        one = false_alarms(outcome, shops=shops, shoppers=shoppers, first_look=100, seed=seed)
        found[f"false_alarms_{outcome}"], found[f"fixed_{outcome}"] = one.always_valid, one.fixed
        shares.append(one.always_valid)
    found["most_false_alarms"] = max(shares)
    for times in (0.1, 1, 10):
        width = standard_errors(round(times * PLANNED_SHOPPERS), alpha=ALPHA, planned_shoppers=PLANNED_SHOPPERS)
        found[f"wider_at_{times}"] = round(width / 1.959964, 3)
    return found
