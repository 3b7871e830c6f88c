"""A shop of any size for the benchmarks of the stream: a real log tiled to many shoppers, their past, a model.

The events are those of taobao_userbehavior_2h in order of time, each of them once for every copy of its shopper. The
past and the model are random: what a list costs depends on their sizes alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.contracts.policies import POLICIES
from freshet.core.records import write_record
from freshet.models.factors.als import AlsParameters
from freshet.models.items.linear_items import LinearItemConfiguration
from freshet.models.items.neighbours import NeighbourConfiguration
from freshet.models.items.user_neighbours import UserNeighbourConfiguration, UserNeighbours
from freshet.ranking.artifact import Artifact
from freshet.ranking.candidate_features import feature_names
from freshet.ranking.ranker.item_facts import ITEM_FACTS
from freshet.ranking.ranker.ranker import Ranker
from freshet.ranking.ranker.trees import Tree
from freshet.ranking.recipe import Recipe
from freshet.ranking.terms.own_items import HalfLife
from freshet.registry.versions import Registry
from freshet.runs.home import Home
from freshet.runs.registered_models import RECOMMENDER, SCORING
from freshet.runs.settings import load_settings
from freshet.sources.kafka.sending import Message
from freshet.tuning.parameters import RankerParameters

ITEMS, RANK, NEIGHBOURS = 60_000, 128, 50
_NAMES = {"pv": "view_item", "fav": "add_to_wishlist", "cart": "add_to_cart", "buy": "purchase"}
_PAST_FILE_SHOPPERS = 20_000
_PAST_DAYS = 30


@dataclass(frozen=True)
class Shop:
    """So many shoppers with so many past events each, and the log `data` as what happens now."""

    data: Path
    shoppers: int
    past_events: int

    @cached_property
    def _log(self) -> pa.Table:
        return pq.read_table(self.data).sort_by("timestamp")

    @property
    def began(self) -> datetime:
        """Time of the first event, UTC without a zone."""
        return datetime.fromtimestamp(self._log.column("timestamp")[0].as_py(), UTC).replace(tzinfo=None)

    def messages(self) -> Iterator[Message]:
        """Events without end in order of time, as `freshet produce` sends them; received_time is still to be added."""
        log = self._log
        shopper = _ranks(log.column("user_id"))
        item = (_ranks(log.column("item_id")) % ITEMS).tolist()
        names = [_NAMES[name] for name in log.column("behavior").to_pylist()]
        seconds = log.column("timestamp").to_numpy() - log.column("timestamp")[0].as_py()
        known, span, number = int(shopper.max()) + 1, int(seconds[-1]) + 1, 0
        copies = range(-(-self.shoppers // known))
        for turn in count():
            for who, what, name, since in zip(shopper.tolist(), item, names, seconds.tolist(), strict=True):
                after = since + turn * span
                moment = (self.began + timedelta(seconds=after)).isoformat()
                for copy in copies:
                    user = f"u{(who + copy * known) % self.shoppers:07d}"
                    # Half the time of a JSON writer, which would be seen beside the service.
                    event = (
                        f'{{"event_id":"{number:032x}","event_name":"{name}","event_time":"{moment}Z",'
                        f'"user_id":"{user}","item_id":"i{what:06d}"}}'
                    )
                    number += 1
                    yield Message(float(after), user.encode(), event.encode())

    def write_past(self, folder: Path) -> None:
        """The past as files for `streaming.past.fill_store`: all of a shopper in one file."""
        folder.mkdir(parents=True)
        for number, first in enumerate(range(0, self.shoppers, _PAST_FILE_SHOPPERS)):
            last = min(first + _PAST_FILE_SHOPPERS, self.shoppers)
            pq.write_table(self._past(first, last), folder / f"part-{number:05d}.parquet", compression="lz4")

    def _past(self, first: int, last: int) -> pa.Table:
        rng = np.random.default_rng(first)
        size = (last - first) * self.past_events
        end = np.datetime64(self.began, "us")
        moments = end - rng.integers(1, _PAST_DAYS * 86_400_000_000, size).astype("timedelta64[us]")
        users = pa.array([f"u{number:07d}" for number in range(first, last)])
        names = pa.array(["view_item", "add_to_cart", "purchase"])
        times = pa.array(moments).cast(pa.timestamp("us", tz="UTC"))
        keys = rng.integers(-(2**63), 2**63, size)
        return pa.table(
            {
                "user_id": users.take(pa.array(np.repeat(np.arange(last - first), self.past_events))),
                "session": pa.nulls(size, pa.string()),
                "event_time": times,
                "received_time": times,
                "entry_key": keys,
                "order_key": keys,
                "item_id": item_ids().take(pa.array(_popular_items(rng, size))),
                "event_name": names.take(pa.array(rng.choice(3, size, p=[0.85, 0.1, 0.05]))),
            }
        )


def with_champion(home: Home) -> None:
    """A model that serves in `home`: that of `artifact`."""
    registry = Registry(home.mlflow)
    with registry.training_run(RECOMMENDER, params={}, fingerprint="benchmark") as run:
        run.artifact(SCORING).parent.mkdir(parents=True, exist_ok=True)
        artifact().save(run.artifact(SCORING))
    registry.promote(RECOMMENDER, registry.register(RECOMMENDER, run, SCORING).version)
    write_record(home.steps, "recommend", {"policy": "next_baskets"})


def artifact() -> Artifact:
    """60,000 items with factors, all item models, popularity and a ranker: all that a search may choose.

    Item models and rankers are as large as the settings let them become: so many weights for each item that they know,
    so many shoppers that are kept, so many trees.
    """
    rng = np.random.default_rng(7)
    settings = load_settings()
    limits, of_model = settings.item_models, settings.item_models.models
    models = {
        "neighbours": NeighbourConfiguration(NEIGHBOURS, 1.4, 10.0, 60.0),
        "linear_items": LinearItemConfiguration(100.0, of_model["linear_items"].count, 5000, 90.0),
        "next_items": of_model["next_items"].with_reg_param(100.0),
        "user_neighbours": UserNeighbours().options(of_model["user_neighbours"])[0],
    }
    weights = {
        "factors": 1.0, "neighbours": 0.5, "linear_items": 0.5, "next_items": 0.5, "user_neighbours": 0.5,
        "own_frequency_180d": 1.0, "item_popular_30d": 0.5,
    }  # fmt: skip
    model = Artifact(
        recipe=Recipe(
            target="purchase", event_weights=settings.interactions.weights,
            als=AlsParameters(RANK, 8, 0.1, 1.0, 7), item_half_life_days=90.0, item_min_strength=0.0,
            user_half_life_days=90.0, user_min_strength=0.0, item_models=models,
            sparse_terms={"own_frequency_180d": HalfLife(180.0)},
            weights={"next_baskets": weights, "new_items": weights},
        ),
        items=item_ids(),
        factors=rng.standard_normal((ITEMS, RANK), dtype=np.float32) * np.float32(0.1),
        item_weights={
            "neighbours": _random_weights(rng, ITEMS, NEIGHBOURS),
            "linear_items": _random_weights(rng, limits.most_items, models["linear_items"].count),
            "next_items": _random_weights(rng, limits.most_items, models["next_items"].count),
            "user_neighbours": _random_shoppers(rng, models["user_neighbours"]),
        },
        terms={"item_popular_30d": rng.random(ITEMS, dtype=np.float32)},
        facts={name: rng.random(ITEMS, dtype=np.float32) for name in ITEM_FACTS},
    )  # fmt: skip
    ranker = _random_ranker(rng, settings.ranker, feature_names(model))
    return replace(model, recipe=replace(model.recipe, rankers=dict.fromkeys(POLICIES, ranker)))


def _random_shoppers(rng: np.random.Generator, limits: UserNeighbourConfiguration) -> csr_matrix:
    """Shoppers with up to 100 items, few items in many of them."""
    shopper = np.repeat(np.arange(limits.shoppers), rng.integers(1, limits.items + 1, limits.shoppers))
    pairs = np.unique(shopper * ITEMS + _popular_items(rng, len(shopper)))
    values = rng.random(len(pairs), dtype=np.float32)
    return csr_matrix((values, (pairs // ITEMS, pairs % ITEMS)), shape=(limits.shoppers, ITEMS))


def _random_ranker(rng: np.random.Generator, limits: RankerParameters, features: list[str]) -> Ranker:
    """As many trees as may be chosen, each with all its leaves, that read all features; small corrections."""

    def tree() -> Tree:
        # Node n has the children 2n + 1 and 2n + 2 as long as there are nodes, else leaves.
        inner = limits.leaves - 1
        children = [child if child < inner else inner - child - 1 for child in range(1, 2 * inner + 1)]
        return Tree(
            tuple(int(feature) for feature in rng.integers(0, len(features), inner)),
            tuple(rng.random(inner).tolist()), tuple(children[::2]), tuple(children[1::2]),
            tuple((0.01 * rng.random(inner + 1)).tolist()),
        )  # fmt: skip

    return Ranker(limits.candidates, tuple(features), tuple(tree() for _ in range(max(limits.trees))))


def _random_weights(rng: np.random.Generator, known: int, count: int) -> csr_matrix:
    """`count` weights for each of the `known` first items, which are those that most histories hold."""
    known = min(known, ITEMS)
    speaking, scored = np.repeat(np.arange(known), count), rng.integers(0, known, known * count)
    values = rng.random(len(scored), dtype=np.float32)
    return csr_matrix((values, (speaking, scored)), shape=(ITEMS, ITEMS))


def item_ids() -> pa.Array:
    return pa.array([f"i{number:06d}" for number in range(ITEMS)])


def _ranks(values: pa.ChunkedArray) -> NDArray[np.int64]:
    """Numbers from 0 in place of ids, in order of first appearance."""
    return pc.dictionary_encode(values).combine_chunks().indices.to_numpy().astype(np.int64)


def _popular_items(rng: np.random.Generator, size: int) -> NDArray[np.int64]:
    """Few items are in many histories: falling about as one over the rank."""
    return (ITEMS ** rng.random(size)).astype(np.int64) - 1
