"""Factor models of other libraries, fitted in the environment of scripts/peers.sh: python peer_fits.py FOLDER.

Reads pairs.npz and wish.json of the folder, writes users.npy, items.npy and told.json there. This file runs there, so
it knows nothing of ours; `peers.py` calls it.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, load_npz


def main() -> None:
    folder = Path(sys.argv[1])
    wish = json.loads((folder / "wish.json").read_text(encoding="utf-8"))
    pairs = load_npz(folder / "pairs.npz").astype(np.float32)
    fit = {"implicit": _implicit, "irspack": _irspack}[wish.pop("library")]
    users, items, seconds = fit(pairs, **wish)
    np.save(folder / "users.npy", users)
    np.save(folder / "items.npy", items)
    (folder / "told.json").write_text(json.dumps({"seconds": seconds}), encoding="utf-8")


def _implicit(
    pairs: csr_matrix, *, rank: int, iterations: int, threads: int, seed: int, **settings: Any
) -> tuple[Any, Any, float]:
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=rank, iterations=iterations, num_threads=threads, use_cg=True, random_state=seed, **settings
    )
    started = time.perf_counter()
    model.fit(pairs, show_progress=False)
    seconds = time.perf_counter() - started
    return model.user_factors, model.item_factors, seconds


def _irspack(
    pairs: csr_matrix, *, rank: int, iterations: int, threads: int, seed: int, **settings: Any
) -> tuple[Any, Any, float]:
    from irspack.recommenders import IALSRecommender

    model = IALSRecommender(
        pairs, n_components=rank, train_epochs=iterations, n_threads=threads, solver_type="CG", random_seed=seed,
        **settings,
    )  # fmt: skip
    started = time.perf_counter()
    model.learn()
    seconds = time.perf_counter() - started
    return model.get_user_embedding(), model.get_item_embedding(), seconds


if __name__ == "__main__":
    main()
