"""Judges lists on the cases of a split: metrics per case, means with intervals, paired differences."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from freshet.core.errors import InputError
from freshet.evaluation.ranking import (
    IDEAL_OF_TRUTH,
    Figures,
    coverage,
    paired_difference,
    per_user,
    summary,
)
from freshet.lab import defaults
from freshet.lab.columns import raised
from freshet.lab.lists import Lists
from freshet.lab.splits import Split

_ONE = "lists"
"""The name of lists that are judged alone."""


@dataclass(frozen=True)
class Judged:
    """`per_user`: (model, user_id, user_hash, k, recall, precision, ndcg, map, hit, mrr), a row per model, judged case
    and k, with the definitions of evaluation/ranking.py; mrr: 1 / place of the first hit within k, else 0."""

    per_user: pa.Table
    samples: int

    def figures(self) -> pd.DataFrame:
        """(model, metric, k, value, low, high, users): the mean over cases, with its 95 % bootstrap interval."""
        return pd.DataFrame(summary(self.per_user, samples=self.samples, by=["model"]))

    def value(self, metric: str, *, k: int | None = None, model: str | None = None) -> float:
        """The mean of one metric. `k` and `model` may be left out where there is one alone. Raises InputError for what
        was not judged."""
        self._check_metric(metric)
        chosen = int(self._only("k", k)), self._only("model", model)
        rows = self.per_user.filter((pc.field("k") == chosen[0]) & (pc.field("model") == chosen[1]))
        return float(np.mean(rows.column(metric).to_numpy()))

    def difference(self, model: str, other: str, *, metric: str = "ndcg", k: int | None = None) -> dict[str, float]:
        """value, low, high, users: the mean of `model` minus `other` over cases, with the 95 % interval of the paired
        differences (evaluation/bootstrap.py). Raises InputError for what was not judged."""
        self._check_metric(metric)
        length = int(self._only("k", k))
        mine, its = (self.per_user.filter(pc.field("model") == self._only("model", name)) for name in (model, other))
        [found] = paired_difference(
            mine.drop_columns("model"), its.drop_columns("model"), metric=metric, k=length, samples=self.samples
        )
        return {name: found[name] for name in ("value", "low", "high", "users")}

    def _check_metric(self, metric: str) -> None:
        known = self.per_user.column_names[4:]
        if metric not in known:
            raise InputError("there is no such metric", where="judged", expected=", ".join(known), found=metric)

    def _only(self, name: str, value: int | str | None) -> int | str:
        known = pc.unique(self.per_user.column(name)).to_pylist()
        if (value is None and len(known) == 1) or value in known:
            return known[0] if value is None else value
        raise InputError(f"{name} must be one that was judged", where="judged",
                         expected=", ".join(map(str, known)), found=str(value))  # fmt: skip


def judge(
    lists: Lists | Mapping[str, Lists], split: Split, *, ks: int | Sequence[int] = 10, ideal: str = IDEAL_OF_TRUTH,
    samples: int | None = None, seed: int | None = None,
) -> Judged:  # fmt: skip
    """Lists, or several by name, judged on the truth of a split at one or several lengths.

    `ideal`: by what NDCG is divided: "truth", the best DCG that the true items allow, or "list", that of `k` hits.
    `samples` and `seed` are those of the bootstrap; by default as in conf/base.toml. A case without a list counts with
    zeros. Under NEW_ITEMS what the history has is not true, and a case whose truth is then empty is left out.

    Raises InputError with all problems: lists of no case, lists made under different policies, ks below 1, another
    ideal; also when no case can be judged.
    """
    named = dict(lists) if isinstance(lists, Mapping) else {_ONE: lists}
    problems = [f"{name} is no Lists but {type(one).__name__}; see Lists.of"
                for name, one in named.items() if not isinstance(one, Lists)]  # fmt: skip
    raised(problems or ([] if named else ["there are no lists"]), "judge")
    policies = {one.policy for one in named.values()} - {None}
    if len(policies) > 1:
        raised([f"lists were made under different policies: {', '.join(sorted(map(str, policies)))}"], "judge")
    known = split.cases.table.column("user_id").combine_chunks()
    problems = [f"no list of {name} is of a case of the split" for name, one in named.items()
                if len(one) and not pc.any(pc.is_in(one.table.column("user_id"), value_set=known)).as_py()]  # fmt: skip
    raised(problems, "judge")
    usual = defaults.evaluation()
    truth = split.cases.truth(str(next(iter(policies), split.policy)))
    hashes = user_hashes(truth.column("user_id"), usual.seed if seed is None else seed)
    truth = truth.append_column("user_hash", pa.array(hashes))
    whole = pa.concat_tables([one.items().append_column("model", pa.repeat(name, len(one)))
                              for name, one in named.items()])  # fmt: skip
    judged = per_user(
        whole, truth, ks=[ks] if isinstance(ks, int) else list(ks), by=["model"], ideal=ideal, with_reciprocal_rank=True
    )
    if not judged.num_rows:
        raised(["no case has a true item and a list, so there is nothing to judge"], "judge")
    return Judged(judged, usual.bootstrap_samples if samples is None else samples)


def user_hashes(users: pa.ChunkedArray | pa.Array, seed: int) -> np.ndarray:
    """int64 by user: the key of a case's weights in the bootstrap, BLAKE2b of seed and id. Batch runs have another hash
    (Spark's), so intervals agree with theirs up to the draw."""
    digests = [hashlib.blake2b(f"{seed}:{user}".encode(), digest_size=8).digest() for user in users.to_pylist()]
    return np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64)


def covered(lists: Lists, data: Split, *, k: int = 10) -> float:
    """The share (0 to 1) of the training part's items that are in any list's first k."""
    found: Figures = coverage(lists.items(), k=k, catalogue_size=len(data.train.items))
    return float(found[0]["value"]) if found else 0.0
