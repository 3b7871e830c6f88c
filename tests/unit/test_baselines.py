"""Plain baselines: exact kernels against slow loops, designed data, ties and edges."""

import random
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from freshet.contracts.shoppers import HISTORY
from freshet.core.errors import InputError
from freshet.evaluation import kernels
from freshet.evaluation.baselines import FAMILIES, NEW_ITEMS, NEXT_BASKETS, Baseline, baseline_lists
from freshet.evaluation.kernels import Nearness
from freshet.pipeline.recommender.list_judging import plain_lists
from freshet.runs.settings import load_settings
from tests.factories import event, events_frame, local_frame, moment
from tests.oracles_ranking import Strengths, baseline_list, baseline_scores, neighbours, own_item_scores

PLAIN = Nearness(count=100, shrinkage=0.0, asymmetry=1.0)


def pairs_frame(spark: SparkSession, strengths: Strengths) -> DataFrame:
    rows = [
        {"user_id": user, "item_id": item, "all": value}
        for user, own in strengths.items()
        for item, value in own.items()
    ]
    return local_frame(spark, "user_id string, item_id string, all double", rows)


def lists_of(
    spark: SparkSession,
    strengths: Strengths,
    users: Sequence[str],
    families: Sequence[str] = FAMILIES,
    *,
    k: int,
    near: Nearness = PLAIN,
    own: Strengths | None = None,
) -> dict[tuple[str, str, str], list[tuple[int, str, float]]]:
    """Lists by task, family and shopper."""
    wanted = local_frame(spark, "user_id string", [{"user_id": user} for user in users])
    baselines = [Baseline(family, "all") for family in families]
    near_users = Nearness(near.count, 0.0, 1.0)
    made = baseline_lists(
        pairs_frame(spark, strengths).repartition(3),
        wanted,
        baselines=baselines,
        k=k,
        near_items=near,
        near_users=near_users,
        fill="all",
        own=None if own is None else pairs_frame(spark, own),
    )
    return {
        (row["task"], row["model"].removesuffix("/all"), row["user_id"]): [tuple(entry) for entry in row["items"]]
        for row in made.collect()
    }


def random_strengths(seed: int, users: int = 14, items: int = 11) -> Strengths:
    """Whole numbers from 1 to 3, so that equal scores are common; popular and rare items."""
    chance = random.Random(seed)
    return {
        f"u{n:02}": {
            f"i{m:02}": float(chance.randint(1, 3)) for m in range(items) if chance.random() < 0.7 / (1 + m / 3)
        }
        for n in range(users)
    }


@pytest.mark.parametrize("seed", [11, 12])
def test_lists_of_every_baseline_equal_the_oracle(spark: SparkSession, seed: int) -> None:
    strengths = random_strengths(seed)
    near = Nearness(count=3, shrinkage=1.5, asymmetry=1.3)
    users = sorted(user for user, own in strengths.items() if own)
    lists = lists_of(spark, strengths, users, k=6, near=near)
    popularity = baseline_scores(strengths, users[0], "popularity", count=3, all_users=users)
    assert len(lists) == 2 * len(FAMILIES) * len(users)
    for (task, family, user), entries in lists.items():
        scores = baseline_scores(strengths, user, family, count=3, shrinkage=1.5, asymmetry=1.3, all_users=users)
        own = set(strengths[user]) if task == NEW_ITEMS else set()
        assert [item for _, item, _ in entries] == baseline_list(scores, popularity, k=6, without=own)
        assert [position for position, _, _ in entries] == list(range(1, len(entries) + 1))
        assert [score for *_, score in entries] == pytest.approx(
            [scores[item] for _, item, _ in entries], rel=1e-5, abs=2e-9
        )


@pytest.mark.parametrize("seed", [21, 22])
def test_own_interactions_replace_those_to_learn_from(spark: SparkSession, seed: int) -> None:
    """Each judged shopper against the oracle, as one more shopper of the others, whom nobody learns from."""
    known = random_strengths(seed)
    items = {item for own in known.values() for item in own}
    drawn = {user: {i: own[i] for i in own if i in items} for user, own in random_strengths(seed + 100).items()}
    now = {user: own for user, own in drawn.items() if own}
    judged = sorted(now)[:4]
    near = Nearness(count=3, shrinkage=1.5, asymmetry=1.3)
    lists = lists_of(spark, known, judged, k=6, near=near, own={user: now[user] for user in judged})
    popularity = baseline_scores(known, sorted(known)[0], "popularity", count=3)
    assert len(lists) == 2 * len(FAMILIES) * len(judged)
    for (task, family, user), entries in lists.items():
        # The oracle's other shoppers are those to learn from; u99 is the judged one, of the highest id, as ties go to
        # the lower one. Popularity and neighbours of items do not include it.
        mine = {"u99": now[user]}
        if family == "popularity":
            scores = popularity
        elif family.startswith("item"):
            scores = own_item_scores(known, now[user], family, count=3, shrinkage=1.5, asymmetry=1.3)
        else:
            scores = baseline_scores(known | mine, "u99", family, count=3)
        without = set(now[user]) if task == NEW_ITEMS else set()
        assert [item for _, item, _ in entries] == baseline_list(scores, popularity, k=6, without=without)


def test_checkerboard_neighbours_find_the_withheld_item(spark: SparkSession) -> None:
    # Even shoppers have even items, odd ones odd items; shopper n lacks item n, which must come first.
    size = 10
    strengths = {f"u{n}": {f"i{m}": 1.0 for m in range(size) if m % 2 == n % 2 and m != n} for n in range(size)}
    families = [family for family in FAMILIES if "knn" in family]
    lists = lists_of(spark, strengths, sorted(strengths), families, k=1)
    first = {(family, user): entries[0][1] for (task, family, user), entries in lists.items() if task == NEW_ITEMS}
    assert first == {(family, f"u{n}"): f"i{n}" for family in families for n in range(size)}


def test_equal_scores_are_ordered_by_item_also_at_the_edge(spark: SparkSession) -> None:
    strengths = {"u": {item: 1.0 for item in ["d", "b", "e", "a", "c"]}}
    lists = lists_of(spark, strengths, ["u"], ["frequency", "popularity"], k=3)
    for family in ("frequency", "popularity"):
        assert [item for _, item, _ in lists[NEXT_BASKETS, family, "u"]] == ["a", "b", "c"]


def test_own_items_come_before_popular_ones_and_popular_ones_fill_up(spark: SparkSession) -> None:
    strengths = {"u": {"rare": 0.01}, "v": {"liked": 1.0, "loved": 1.0}, "w": {"loved": 1.0}}
    lists = lists_of(spark, strengths, ["u"], ["frequency"], k=5)
    assert [item for _, item, _ in lists[NEXT_BASKETS, "frequency", "u"]] == ["rare", "loved", "liked"]
    assert [item for _, item, _ in lists[NEW_ITEMS, "frequency", "u"]] == ["loved", "liked"]


def test_unknown_shoppers_get_popular_items_and_one_who_has_all_gets_none_new(spark: SparkSession) -> None:
    strengths = {"u": {"a": 1.0, "b": 1.0}, "v": {"b": 1.0}}
    lists = lists_of(spark, strengths, ["stranger", "u"], k=2)
    for family in FAMILIES:
        assert [item for _, item, _ in lists[NEXT_BASKETS, family, "stranger"]] == ["b", "a"]
        assert lists[NEW_ITEMS, family, "u"] == []


def test_an_item_without_strength_is_a_candidate_and_not_new(spark: SparkSession) -> None:
    # b was taken back: strength 0, yet the shopper had it.
    strengths = {"u": {"a": 1.0, "b": 0.0}, "v": {"c": 1.0}}
    lists = lists_of(spark, strengths, ["u"], ["frequency"], k=5)
    assert [item for _, item, _ in lists[NEXT_BASKETS, "frequency", "u"]] == ["a", "c", "b"]
    assert [item for _, item, _ in lists[NEW_ITEMS, "frequency", "u"]] == ["c"]


def test_no_interactions_give_empty_lists(spark: SparkSession) -> None:
    lists = lists_of(spark, {}, ["u"], k=3)
    assert len(lists) == 2 * len(FAMILIES)
    assert set(map(len, lists.values())) == {0}


def test_unknown_names_are_refused_together(spark: SparkSession) -> None:
    frame = pairs_frame(spark, {"u": {"a": 1.0}})
    with pytest.raises(InputError, match=r"hl_9d is not a strength.*horoscope is not a baseline"):
        baseline_lists(
            frame,
            frame,
            baselines=[Baseline("horoscope", "hl_9d")],
            k=1,
            near_items=PLAIN,
            near_users=PLAIN,
            fill="all",
        )


def test_without_cases_no_event_is_read(spark: SparkSession) -> None:
    unread = spark.range(1).select(F.raise_error(F.lit("an event was read")).alias("event_name"))
    nobody = local_frame(spark, "user_id string", [])
    params = load_settings().evaluation
    made = plain_lists(
        unread, nobody, protocol="time_split", baselines=[Baseline("popularity", "all")], as_of=datetime(2020, 1, 1),
        target="purchase", length=3, params=params,
    )  # fmt: skip
    assert made.collect() == []


@pytest.mark.parametrize(("protocol", "listed"), [("time_split", ["old", "hit"]), ("next_in_session", ["new", "hit"])])
def test_who_is_judged_by_a_last_basket_has_the_items_of_the_case(
    spark: SparkSession, protocol: str, listed: list[str]
) -> None:
    """u had `old` before the cut, and `new` in the history of the case."""
    cut = moment("2020-03-10")
    known = events_frame(
        spark,
        [
            event(user="u", item="old", at="2020-03-01"),
            *[event(user=f"v{n}", item="hit", at="2020-03-02") for n in "12"],
        ],
    )
    entry = {"event_time": cut, "entry_key": 1, "item_id": "new", "event_name": "purchase", "order_id": "o"}
    view = {**entry, "item_id": "seen", "event_name": "view_item"}
    earlier = [{**one, "event_time": moment("2020-03-09")} for one in (entry, view)]
    schema = f"user_id string, history {HISTORY.simpleString()}, truth array<string>"
    cases = local_frame(spark, schema, [{"user_id": "u", "history": earlier, "truth": ["x"]}])
    made = plain_lists(
        known, cases, protocol=protocol, baselines=[Baseline("frequency", "all")], as_of=cut, target="purchase",
        length=2, params=load_settings().evaluation,
    )  # fmt: skip
    found = {(row["task"], row["user_id"]): [item["item_id"] for item in row["items"]] for row in made.collect()}
    assert found[NEXT_BASKETS, "u"] == listed


@pytest.mark.unit
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("similarity", [kernels.COSINE, kernels.PEARSON])
def test_neighbours_over_several_blocks_equal_the_oracle(
    monkeypatch: pytest.MonkeyPatch, seed: int, similarity: str
) -> None:
    monkeypatch.setattr(kernels, "_BLOCK_VALUES", 11)  # two rows a block
    chance = np.random.default_rng(seed)
    dense = chance.integers(1, 4, (12, 9)) * (chance.random((12, 9)) < 0.4).astype(float)
    dense[3], dense[4] = 0.0, 2.0  # nothing at all, and constant
    wanted = np.array([0, 3, 4, 7, 11])
    near = Nearness(count=4, shrinkage=0.7, asymmetry=1.2)
    found = kernels.nearest(csr_matrix(dense), wanted, similarities=(similarity,), nearness=near)[similarity]
    for place, row in enumerate(wanted):
        expected = neighbours(dense.tolist(), row, similarity, count=4, shrinkage=0.7, asymmetry=1.2)
        assert dict(zip(found[place].indices, found[place].data, strict=True)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.unit
def test_pearson_equals_the_correlation_of_dense_columns() -> None:
    dense = np.random.default_rng(8).poisson(0.6, (7, 40)).astype(float)
    near = kernels.nearest(csr_matrix(dense), np.arange(7), similarities=("pearson",), nearness=PLAIN)["pearson"]
    assert near.toarray() == pytest.approx(np.maximum(np.corrcoef(dense), 0), abs=1e-6)


@pytest.mark.unit
def test_blocks_cover_all_rows_once_within_the_limit() -> None:
    slices = list(kernels.blocks(1000, 9000))
    assert [n for part in slices for n in range(part.start, part.stop)] == list(range(1000))
    assert max(part.stop - part.start for part in slices) * 9000 * 12 <= 48_000_000
    assert len(list(kernels.blocks(3, 10**9))) == 3
    assert list(kernels.blocks(0, 0)) == []
