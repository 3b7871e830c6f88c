"""Values of policies on real logs beside those of Open Bandit Pipeline, and how often our intervals hold the truth."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.experiments.counterfactual.estimators import policy_value, policy_values
from freshet.experiments.counterfactual.logged_rounds import LoggedRounds
from tests.benchmarks.peers import PEERS, has_peers
from tests.benchmarks.tables.spark_side import DATA
from tests.logged_policies import WORLDS, covered

CAMPAIGNS, POLICIES = ("all", "men", "women"), ("random", "bts")
MAX_WEIGHT = 5.0
LOGS, QUICK_LOGS = 1_000, 100


class Log(NamedTuple):
    """What a policy has logged: item and position from 0, click, propensity."""

    item: NDArray[np.int64]
    position: NDArray[np.int64]
    click: NDArray[np.float64]
    propensity: NDArray[np.float64]


def counterfactual(quick: bool) -> dict[str, Any]:
    """By campaign and logging policy the value of the other policy, ours and (obp_*) that of Open Bandit Pipeline;
    largest_difference between them, over all. clicked_*: what the other policy has earned in its own log.

    covered_*: the shares of drawn logs whose 95 % interval holds the truth, by kind of log and estimator; of all of
    these, least_covered and most_covered.
    """
    found: dict[str, Any] = {}
    differences = []
    for campaign in CAMPAIGNS[:1] if quick else CAMPAIGNS:
        logs = {policy: _log(policy, campaign) for policy in POLICIES}
        for logging, evaluated in (POLICIES, POLICIES[::-1]):
            name = f"{campaign}_logged_by_{logging}"
            ours, theirs = _values(logs[logging], logs[evaluated], is_uniform=evaluated == "random")
            found[f"clicked_{name}"] = float(logs[evaluated].click.mean())
            for estimator, value in ours.items():
                found[f"{estimator}_{name}"] = value
                if estimator in theirs:
                    found[f"obp_{estimator}_{name}"] = theirs[estimator]
                    differences.append(abs(value - theirs[estimator]))
    found["largest_difference"] = max(differences) if differences else None
    shares = {name: covered(world, QUICK_LOGS if quick else LOGS) for name, world in WORLDS.items()}
    found |= {f"covered_{world}_{name}": share for world, one in shares.items() for name, share in one.items()}
    every = [share for one in shares.values() for share in one.values()]
    return {**found, "least_covered": min(every), "most_covered": max(every)}


def _log(policy: str, campaign: str) -> Log:
    rows = pq.read_table(DATA / "open_bandit_small" / f"{policy}_{campaign}.parquet")
    columns = (rows[name].to_numpy() for name in ("item_id", "position", "click", "propensity_score"))
    item, position, click, propensity = columns
    return Log(item, position - position.min(), click.astype(float), propensity)


def _values(log: Log, other: Log, *, is_uniform: bool) -> tuple[dict[str, float], dict[str, float]]:
    """Values of the policy of `other` by the log: its probabilities are how often it has shown an item in a position,
    or known to be equal."""
    items, places = 1 + int(max(log.item.max(), other.item.max())), 1 + int(log.position.max())
    shown = np.ones((items, places))
    if not is_uniform:
        shown = np.bincount(other.item * places + other.position, minlength=items * places).reshape(items, places)
    chance = shown / shown.sum(axis=0)
    # A simple model: clicks of the item, drawn towards the mean of all as if it had been shown 100 times more.
    mean, weight = log.click.mean(), 100.0
    seen = np.bincount(log.item, minlength=items)
    model = (np.bincount(log.item, log.click, minlength=items) + weight * mean) / (seen + weight)
    rounds = LoggedRounds(
        reward=log.click, propensity=log.propensity, probability=chance[log.item, log.position],
        predicted=model[log.item], expected=(chance * model[:, None]).sum(axis=0)[log.position],
    )  # fmt: skip
    ours = {one.estimator: one.value for one in policy_values(rounds)}
    ours |= {f"{name}_clipped": policy_value(rounds, name, max_weight=MAX_WEIGHT).value for name in ("ips", "dr")}
    return ours, _peer_values(log, chance, model) if has_peers() else {}


def _peer_values(log: Log, chance: NDArray[np.float64], model: NDArray[np.float64]) -> dict[str, float]:
    shape = (len(log.item), *chance.shape)
    with tempfile.TemporaryDirectory(prefix="freshet-peer-") as place:
        np.savez(
            Path(place) / "rounds.npz", reward=log.click, action=log.item, pscore=log.propensity, position=log.position,
            action_dist=np.broadcast_to(chance, shape), predicted=np.broadcast_to(model[:, None], shape),
            max_weight=MAX_WEIGHT,
        )  # fmt: skip
        script = Path(__file__).with_name("peer_policy_values.py")
        subprocess.run([str(PEERS), str(script), place], check=True, env={**os.environ, "PYTHONPATH": ""})
        return dict(json.loads((Path(place) / "told.json").read_text(encoding="utf-8")))
