"""A blend: fitted models and terms with weights, which makes lists and explains scores."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from freshet.contracts.policies import NEXT_BASKETS, POLICIES
from freshet.core.errors import DataTooSmallError, InputError
from freshet.lab import defaults
from freshet.lab.columns import raised
from freshet.lab.interactions import Interactions, places
from freshet.lab.lists import Lists
from freshet.lab.protocols import users_as_cases
from freshet.lab.splits import Cases, Split, checked_policy
from freshet.ranking.artifact import Artifact
from freshet.ranking.best_items import cut
from freshet.ranking.candidate_features import candidate_features
from freshet.ranking.histories.entry_columns import entry_columns
from freshet.ranking.histories.history_block import HistoryBlock, read_block
from freshet.ranking.lists.shopper_lists import list_batches
from freshet.ranking.scoring import ScoredBlock, scored
from freshet.ranking.terms.registry import FACTORS, RECENT_POPULARITY, term_of
from freshet.tuning.trials import searched_weights
from freshet.tuning.weights import Trial

_BATCH_CASES = 4096


@dataclass(frozen=True)
class Blend:
    """Terms of an artifact with weights by policy; the result of `fit`.

    `train`: what it was fitted on, as of `clock`. `trials`: those of the search that gave the weights, the best last.
    `artifact` is the engine's own: what it lists is what Freshet would serve.
    """

    artifact: Artifact
    train: Interactions
    clock: datetime
    trials: tuple[Trial, ...] = ()

    @property
    def terms(self) -> list[str]:
        """The names that can have a weight."""
        recipe = self.artifact.recipe
        factors = [FACTORS.name] if recipe.als is not None else []
        return [*factors, *self.artifact.item_weights, *recipe.sparse_terms, *self.artifact.terms]

    def weights(self, policy: str = NEXT_BASKETS) -> dict[str, float]:
        """The weights of a policy, by term."""
        return dict(self.artifact.recipe.weights[checked_policy(policy)])

    def describe(self) -> dict[str, str]:
        """What each term means, in words."""
        return {name: term_of(name).describe(name) for name in self.terms}

    def with_weights(self, weights: Mapping[str, float], *, policy: str | None = None) -> "Blend":
        """The blend with these weights alone, for one policy or for both. Raises InputError with all names that are no
        terms of the blend, and all weights that are no finite numbers."""
        problems = [f"{name} is no term of the blend (terms: {', '.join(self.terms)})"
                    for name in weights if name not in self.terms]  # fmt: skip
        problems += [
            f"the weight of {name} is {weight!r}, no finite number"
            for name, weight in weights.items()
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not np.isfinite(weight)
        ]
        raised(problems, "weights")
        policies = POLICIES if policy is None else (checked_policy(policy),)
        mine = {name: float(weight) for name, weight in weights.items()}
        recipe = self.artifact.recipe
        changed = replace(recipe, weights={**recipe.weights, **dict.fromkeys(policies, mine)})
        return replace(self, artifact=replace(self.artifact, recipe=changed), trials=())

    def searched(self, validation: Split, *, k: int = 10, policy: str | None = None) -> "Blend":
        """The blend with the weights that coordinate ascent finds on validation NDCG at `k` (tuning/weights.py).

        `validation`: a split whose training part the blend was fitted on; `policy`: by default that of the split. All
        terms that the engine weighs under the policy take part. Raises InputError for a split with another training
        part, as the blend could know its truth, and DataTooSmallError without a case to judge.
        """
        if not validation.train.table.equals(self.train.table):
            raise InputError(
                "weights would be searched on rows that the blend may have learned from", where="searched",
                expected="a blend that was fitted on the training part of this split", do="Call fit(validation, ...)",
            )  # fmt: skip
        chosen = checked_policy(policy or validation.policy)
        count, trials = searched_weights(
            iter([validation.cases.batch()]), self.artifact, policy=chosen, clock=validation.clock, k=k,
            params=defaults.search(),
        )  # fmt: skip
        if not count:
            raise DataTooSmallError("no case of the validation part can be judged under this policy")
        return replace(self.with_weights(trials[-1].weights, policy=chosen), trials=tuple(trials))

    def lists(self, who: Any, *, k: int = 10, policy: str | None = None) -> Lists:
        """The `k` best items of each case, made as in batch and stream; fewer where the policy leaves fewer.

        `who`: a split or its cases; user ids, whose histories are their training rows; or interactions, whose rows are
        the histories (the users need not be known). `policy`: by default that of the split, else NEXT_BASKETS. A case
        without a known item gets recently popular items. Raises InputError for k below 1 and for no cases.
        """
        if not isinstance(k, int) or k < 1:
            raise InputError("a list needs a length", where="lists", expected="k of 1 or more", found=f"{k!r}")
        cases, chosen = self._cases(who), _policy(who, policy)
        parts = [
            made
            for start in range(0, len(cases), _BATCH_CASES)
            for made in list_batches(
                entry_columns(cases.batch().slice(start, _BATCH_CASES).select(["user_id", "history"])), self.artifact,
                clock=cases.clock, length=k, policy=chosen,
            )
        ]  # fmt: skip
        tables = [Lists.from_entries(pa.Table.from_batches([part]), policy=chosen, types=_types(cases)).table
                  for part in parts]  # fmt: skip
        return Lists(pa.concat_tables(tables), chosen, *_types(cases))

    def explained(
        self, who: Any, user: Any, items: Iterable[Any] | None = None, *, k: int = 10, policy: str | None = None
    ) -> pa.Table:
        """(item_id, term, value, weight, contribution): for each item a row per term with a weight, in the terms'
        order; the contributions of an item add up to its score.

        `who` as in `lists`, `user` one of its ids; `items`: by default those of the user's list of length `k`. For a
        case without a known item the only term is recent popularity, with weight 1. Raises InputError for an unknown
        case or item.
        """
        cases, chosen = self._cases(who), _policy(who, policy)
        place = places(pa.array([str(user)]), cases.table.column("user_id").combine_chunks())[0]
        if place < 0:
            raise InputError("there is no such case", where="explained", found=str(user))
        one = Cases(cases.table.slice(place, 1), cases.clock, cases.of_train, cases.user_type, cases.item_type)
        wanted = next(iter(self.lists(one, k=k, policy=chosen).to_dict().values())) if items is None else items
        ids = pa.array([str(item) for item in wanted], pa.string())
        columns = places(ids, self.artifact.items)
        unknown = [f"{item} is no item of the training part" for item, at in zip(ids.to_pylist(), columns, strict=True)
                   if at < 0]  # fmt: skip
        raised(unknown, "explained")
        block = read_block(one.batch().column("history"), items=self.artifact.items,
                           event_names=self.artifact.recipe.event_names, clock=one.clock)  # fmt: skip
        names, values, weights = self._values(block, columns, chosen)
        count = len(names)
        return pa.table(
            {
                "item_id": ids.take(pa.array(np.repeat(np.arange(len(ids)), count))).cast(cases.item_type),
                "term": pa.array(names * len(ids), pa.string()),
                "value": values.ravel(),
                "weight": np.tile(weights, len(ids)),
                "contribution": (values * weights).ravel(),
            }
        )

    def _values(
        self, block: HistoryBlock, columns: np.ndarray, policy: str
    ) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Names of the weighted terms, their values [items, terms] for one history, and their weights."""
        found = self._scored(block, policy)
        recent = next((name for name in RECENT_POPULARITY if name in self.artifact.terms), None)
        if found.cold is not None and recent is not None:
            return [recent], self.artifact.terms[recent][columns, None].astype(np.float64), np.ones(1)
        weights = {name: weight for name, weight in self.weights(policy).items() if weight}
        names = [name for name in self.terms if name in weights]
        rows = columns[None, :]
        values = candidate_features(names, found, self.artifact, rows, np.zeros(rows.shape, np.float32))[0]
        return names, values.astype(np.float64), np.array([weights[name] for name in names])

    def _scored(self, block: HistoryBlock, policy: str) -> ScoredBlock:
        made = cut(self.artifact, policy, 1)
        return scored(
            block, self.artifact, policy=policy, buffer=made.buffer(block.shoppers), for_search=made.is_search
        )

    def _cases(self, who: Any) -> Cases:
        if isinstance(who, Split):
            return who.cases
        if isinstance(who, Cases):
            return who
        if isinstance(who, Interactions):
            if who.item_type != self.train.item_type:
                raised(["item ids of the histories and of the training part have different types"], "lists")
            return users_as_cases(who, who.users, max(who.as_of, self.clock))
        if isinstance(who, str) or not isinstance(who, Sequence | np.ndarray | pa.Array | pa.ChunkedArray):
            expected = "a split, cases, interactions or a list of user ids"
            raise InputError("these are no cases", where="lists", expected=expected, found=type(who).__name__)
        if not len(who):
            raise InputError("there are no users", where="lists")
        # As of interactions, so that ids are read and refused alike.
        asked = Interactions.of({"user_id": who, "item_id": np.zeros(len(who), dtype=np.int64)})
        users = pc.unique(asked.table.column("user_id"))
        return replace(users_as_cases(self.train, users, self.clock), user_type=asked.user_type)


def _policy(who: Any, policy: str | None) -> str:
    return checked_policy(policy or (who.policy if isinstance(who, Split) else NEXT_BASKETS))


def _types(cases: Cases) -> tuple[pa.DataType, pa.DataType]:
    return cases.user_type, cases.item_type
