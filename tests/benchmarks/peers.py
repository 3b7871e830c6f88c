"""Factor models of other libraries on our data, in the environment of scripts/peers.sh."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, save_npz

from tests.benchmarks.tasks import cores

PEERS = Path(__file__).parents[2] / ".freshet-bench" / "peers" / "bin" / "python"

VERSIONS = {"implicit": "0.7.3", "irspack": "0.5.2"}
"""As scripts/peers.sh installs them."""


def has_peers() -> bool:
    """Whether scripts/peers.sh has been run."""
    return PEERS.is_file()


def peer_fit(
    library: str, pairs: csr_matrix, *, rank: int, iterations: int, seed: int, **settings: Any
) -> tuple[float, NDArray[np.float32], NDArray[np.float32]]:
    """Seconds of a fit alone, by conjugate gradients on all cores, and vectors [users, rank] and [items, rank]."""
    wish = {"library": library, "rank": rank, "iterations": iterations, "threads": cores(), "seed": seed, **settings}
    # With threads of BLAS inside its own, implicit warns and is slower.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": ""}
    with tempfile.TemporaryDirectory(prefix="freshet-peer-") as place:
        folder = Path(place)
        save_npz(folder / "pairs.npz", pairs, compressed=False)
        (folder / "wish.json").write_text(json.dumps(wish), encoding="utf-8")
        script = Path(__file__).with_name("peer_fits.py")
        subprocess.run([str(PEERS), str(script), place], check=True, capture_output=True, env=environment)
        told = json.loads((folder / "told.json").read_text(encoding="utf-8"))
        users, items = (np.load(folder / f"{side}.npy").astype(np.float32) for side in ("users", "items"))
    return told["seconds"], users, items
