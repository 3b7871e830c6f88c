"""Values of policies by Open Bandit Pipeline, in the environment of scripts/peers.sh.

`python peer_policy_values.py FOLDER` reads rounds.npz of the folder and writes told.json there. This file runs in that
environment, so it knows nothing of ours; `counterfactual.py` calls it.
"""

import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np


def main() -> None:
    folder = Path(sys.argv[1])
    rounds = dict(np.load(folder / "rounds.npz"))
    max_weight, predicted = float(rounds.pop("max_weight")), rounds.pop("predicted")
    _without_torch()
    from obp.ope import estimators as obp

    plain = {
        "ips": obp.InverseProbabilityWeighting(),
        "snips": obp.SelfNormalizedInverseProbabilityWeighting(),
        "ips_clipped": obp.InverseProbabilityWeighting(lambda_=max_weight),
    }
    modelled = {
        "dm": obp.DirectMethod(),
        "dr": obp.DoublyRobust(),
        "sndr": obp.SelfNormalizedDoublyRobust(),
        "dr_clipped": obp.DoublyRobust(lambda_=max_weight),
    }
    told = {name: one.estimate_policy_value(**rounds) for name, one in plain.items()}
    for name, one in modelled.items():
        told[name] = one.estimate_policy_value(**rounds, estimated_rewards_by_reg_model=predicted)
    (folder / "told.json").write_text(json.dumps({name: float(value) for name, value in told.items()}))


def _without_torch() -> None:
    """Makes the estimators importable alone: the package imports all of its parts, and with them PyTorch, which these
    estimators do not use."""
    found = importlib.util.find_spec("obp")
    assert found is not None
    for name in ("obp", "obp.ope"):
        part = types.ModuleType(name)
        part.__path__ = [str(Path(*[str(found.submodule_search_locations[0]), *name.split(".")[1:]]))]
        sys.modules[name] = part
    torch = types.ModuleType("torch")
    torch.tensor = torch.Tensor = object
    sys.modules["torch"] = torch


if __name__ == "__main__":
    main()
