"""A shop where a ranker gains, and that steers its lists by rules: from the search over the gate to lists, figures and
the report."""

import dataclasses
import json
import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from freshet.cli.main import freshet
from freshet.contracts import (
    AUDIT_RESULTS,
    EVALUATION_RESULTS,
    EVENTS,
    MERCHANDISING_RULES,
    MODEL_DECISIONS,
    POPULAR_ITEMS,
    RECOMMENDATION_UPDATES,
    RECOMMENDATIONS,
    RULE_EFFECTS,
    SIMILAR_ITEMS,
    USER_ATTRIBUTES,
    USER_SEGMENTS,
)
from freshet.pipeline.merchandising.preview import previewed
from freshet.ranking.artifact import Artifact
from freshet.report.collect.page import recipe
from freshet.report.collect.sources import Sources
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.registered_models import RECOMMENDER, champion
from freshet.runs.registry import main_steps
from freshet.runs.runner import DONE, UP_TO_DATE, StepResult, run_step
from freshet.runs.settings import load_settings
from freshet.runs.steps import (
    EVALUATE,
    PROMOTE,
    RECOMMEND,
    REPLAY,
    TRAIN_PROPENSITY,
    TRAIN_RECOMMENDER,
    TRAIN_SEGMENTS,
    WRITE_RULES,
)
from tests.factories import frame
from tests.jobs.small_shop import OVERRIDES, write_mapping

pytestmark = [pytest.mark.jobs, pytest.mark.delta]

PAGE = ("buy_again", "for_you", "because_you_took")
SETTINGS = (
    *OVERRIDES, "ranker.min_shoppers=50", "ranker.min_leaf_rows=20", "ranker.trees=[25]",
    f"placements.served={json.dumps(PAGE)}", 'lists.popular_attributes=["segment"]',
)  # fmt: skip
START, SPAN = datetime(2025, 1, 1, 9), 300
STEPS = ("ingest", "build", TRAIN_RECOMMENDER.name, PROMOTE.name, "recommend", "evaluate")


def punctual_buyers() -> list[str]:
    """Shoppers who buy each of their items at a pace of its own, for some time: what is due will be bought.

    An item that was often bought may have been given up, and one that was bought long ago may be due. So neither how
    often nor how long ago says by itself what comes next.
    """
    draw = random.Random(3)
    rows = ["order,customer,item,time,pieces,price"]
    for customer in range(90):
        for item in draw.sample(range(40), 10):
            pace = draw.choice((15, 15, 75))
            first, ends = draw.randrange(0, 120), SPAN if draw.random() < 0.5 else draw.randrange(120, SPAN)
            for day in range(first, ends, pace):
                moment = START + timedelta(days=day, minutes=customer)
                rows.append(f"o{customer}-{day},c{customer},i{item},{moment:%Y-%m-%d %H:%M},1,5")
    return rows


@pytest.fixture(scope="module")
def finished(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, dict[str, StepResult]]:
    folder = tmp_path_factory.mktemp("shop")
    mapping, data = write_mapping(folder), folder / "orders.csv"
    data.write_text("\n".join(punctual_buyers()) + "\n")
    job = Job(spark, Home(folder / "home").prepare(), load_settings("test", SETTINGS), source=mapping, input_path=data)
    steps = [step for step in main_steps() if step not in (TRAIN_PROPENSITY, TRAIN_SEGMENTS) and step.name in STEPS]
    return job, {step.name: run_step(step, job) for step in steps}


def test_a_ranker_serves_and_the_report_names_it(finished: tuple[Job, dict[str, StepResult]]) -> None:
    job, results = finished
    assert {name: result.status for name, result in results.items()} == dict.fromkeys(STEPS, DONE)
    version = champion(job, RECOMMENDER)
    assert version is not None
    ranker = Artifact.load(version.folder).recipe.rankers["next_baskets"]
    assert len(ranker.trees) == 25
    assert len(ranker.folds) == job.settings.ranker.folds
    facts = recipe(Sources(job.home, {}, 10)).facts  # type: ignore[union-attr]
    assert ("ranker: next_baskets", ranker.description) in facts


def test_the_gate_sees_what_cross_validation_saw(finished: tuple[Job, dict[str, StepResult]]) -> None:
    # With trees that know the judged shoppers the gate would see far more.
    job, results = finished
    expected = results[TRAIN_RECOMMENDER.name].record["ndcg"]["next_baskets"]
    rows = job.warehouse.read(EVALUATION_RESULTS).where(
        "split = 'validation' and task = 'next_baskets' and metric = 'ndcg' and k = 10 and model = 'challenger'"
    )
    assert [row["value"] for row in rows.collect()] == [pytest.approx(expected, abs=2e-3)]


def test_what_lists_show_is_measured_for_all_that_is_judged(finished: tuple[Job, dict[str, StepResult]]) -> None:
    job, _ = finished
    rows = job.warehouse.read(EVALUATION_RESULTS).where("split = 'test' and k = 10 and task = 'next_baskets'").collect()
    by_metric = {
        metric: {row["model"]: row["value"] for row in rows if row["metric"] == metric}
        for metric in ("ndcg", "diversity", "novelty", "popularity", "exposure_gini")
    }
    assert "served" in by_metric["ndcg"]
    assert all(set(models) == set(by_metric["ndcg"]) for models in by_metric.values())
    # One list for everybody shows less of the shop than lists of one's own.
    assert by_metric["exposure_gini"]["popularity/all"] > by_metric["exposure_gini"]["served"]


def test_pages_are_served_judged_and_shown(
    finished: tuple[Job, dict[str, StepResult]], capsys: pytest.CaptureFixture[str]
) -> None:
    job, _ = finished
    pages = {row["user_id"]: row["placements"] for row in job.warehouse.read(RECOMMENDATIONS).collect()}
    assert {one["placement"] for page in pages.values() for one in page} == set(PAGE)
    bought = {
        row["user_id"]: {*row["items"]}
        for row in job.warehouse.read(EVENTS).where(F.col("event_time") < F.lit(job.windows().cut))
        .groupBy("user_id").agg(F.collect_set("item_id").alias("items")).collect()
    }  # fmt: skip
    for user, page in pages.items():
        items = {one["placement"]: [entry["item_id"] for entry in one["items"]] for one in page}
        every = [item for listed in items.values() for item in listed]
        assert len(every) == len(set(every)), user
        assert set(items["buy_again"]) <= bought[user]
        assert not (set(items["for_you"]) & bought[user])
    rows = job.warehouse.read(EVALUATION_RESULTS).where("split = 'test' and metric = 'hit' and k = 10").collect()
    tasks = {row["model"]: row["task"] for row in rows if row["model"].startswith("placement/")}
    # Nobody takes a new item in the last days of this shop.
    assert tasks == {"placement/buy_again": "next_baskets"}
    assert {row["value"] > 0.5 for row in rows if row["model"] == "placement/buy_again"} == {True}
    freshet(["show", "c1", "--home", str(job.home.root)], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "On the page: buy again" in shown
    assert "On the page: because you took i" in shown


def test_a_limit_refuses_a_challenger_that_the_gate_would_accept(finished: tuple[Job, dict[str, StepResult]]) -> None:
    job, results = finished
    assert results[PROMOTE.name].record["decisions"][RECOMMENDER]["accepted"]
    limits = ("audits.min_users=10", "audits.max_popularity_lift=-0.99", "audits.max_group_loss=0.5")
    strict = dataclasses.replace(job, settings=load_settings("test", (*SETTINGS, *limits)))
    record = run_step(PROMOTE, strict).record
    decision = record["decisions"][RECOMMENDER]
    assert not decision["accepted"]
    assert [reason.partition(":")[0] for reason in decision["reasons"]] == ["next_baskets", "new_items"]
    assert all("and at least 99 % less is demanded (popularity_lift@10 " in reason for reason in decision["reasons"])
    of_groups, of_items = record["audits"]["limits"]
    assert of_groups["notes"] == ("there is no champion to compare with",)
    assert of_items["refusals"] == decision["reasons"]
    (row,) = job.warehouse.read(MODEL_DECISIONS).where(f"model_name = '{RECOMMENDER}'").collect()
    assert (row["accepted"], row["reasons"]) == (False, list(decision["reasons"]))
    assert row["metrics"]["next_baskets.popularity_lift"] > -0.99
    # Without the limits it is accepted again.
    assert run_step(PROMOTE, job).record["decisions"][RECOMMENDER]["accepted"]


RULES = """
[[rules]]
name = "no i0"
action = "exclude"
items = { item_id = "i0" }

[[rules]]
name = "gold sees i1 first"
action = "pin"
position = 1
items = { item_id = "i1" }
shoppers = { segment = "gold" }

[[rules]]
name = "no such brand"
action = "boost"
strength = 1
items = { brand = "none" }
"""


@pytest.fixture(scope="module")
def ruled(
    spark: SparkSession, finished: tuple[Job, dict[str, StepResult]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Job, dict[str, StepResult]]:
    """The same shop with RULES, after the steps that follow from them."""
    job = finished[0]
    path = tmp_path_factory.mktemp("rules") / "rules.toml"
    path.write_text(RULES)
    cut = job.windows().cut
    segments = [
        {"as_of": cut, "user_id": f"c{n}", "segment_id": n % 2, "segment_name": ("gold", "new")[n % 2],
         "model_version": "1.0"} for n in range(80)
    ]  # fmt: skip
    job.warehouse.replace(frame(spark, USER_SEGMENTS, segments), USER_SEGMENTS)
    before = previewed(job, path)
    assert job.warehouse.version(MERCHANDISING_RULES) == -1
    assert before.unmatched == ["no such brand"]
    with_rules = dataclasses.replace(job, input_path=path)
    results = {"rules": run_step(WRITE_RULES, with_rules)}
    results |= {step.name: run_step(step, job) for step in (RECOMMEND, EVALUATE, REPLAY)}
    assert before.compared.facts() == results[RECOMMEND.name].record["rules"]
    return job, results


def test_rules_are_written_and_everything_that_follows_runs_again(ruled: tuple[Job, dict[str, StepResult]]) -> None:
    job, results = ruled
    assert {name: result.status for name, result in results.items()} == dict.fromkeys(results, DONE)
    record = results["rules"].record
    assert (record["rules"], record["in_force"], record["without_items"]) == (3, 3, ["no such brand"])
    rows = job.warehouse.read(MERCHANDISING_RULES).orderBy("position").collect()
    assert [row["name"] for row in rows] == ["no i0", "gold sees i1 first", "no such brand"]
    assert [run_step(step, job).status for step in (RECOMMEND, EVALUATE)] == [UP_TO_DATE, UP_TO_DATE]
    attributes = {row["user_id"]: row["attributes"] for row in job.warehouse.read(USER_ATTRIBUTES).collect()}
    assert attributes == {f"c{n}": {"segment": ("gold", "new")[n % 2]} for n in range(80)}


def test_lists_obey_the_rules_for_whom_they_hold(ruled: tuple[Job, dict[str, StepResult]]) -> None:
    lists = {row["user_id"]: row["items"] for row in ruled[0].warehouse.read(RECOMMENDATIONS).collect()}
    assert len(lists) > 80
    assert [user for user, items in lists.items() if "i0" in [one["item_id"] for one in items]] == []
    first = {user: items[0]["item_id"] for user, items in lists.items()}
    gold = {f"c{n}" for n in range(0, 80, 2)}
    assert {first[user] for user in gold} == {"i1"}
    assert {first[user] for user in set(lists) - gold} != {"i1"}
    effects = {row["name"]: row for row in ruled[0].warehouse.read(RULE_EFFECTS).collect()}
    assert list(effects) == ["no i0", "gold sees i1 first", "no such brand"]
    assert effects["no i0"]["lists"] == len(lists)
    assert effects["no i0"]["items_before"] > 0
    assert effects["no i0"]["items_after"] == 0
    assert effects["gold sees i1 first"]["lists"] == effects["gold sees i1 first"]["lists_after"] == len(gold)
    assert effects["no such brand"]["matching_items"] == 0


def test_replayed_lists_and_lists_of_nobody_obey_the_rules_too(ruled: tuple[Job, dict[str, StepResult]]) -> None:
    warehouse = ruled[0].warehouse
    streamed = {row["user_id"]: [one["item_id"] for one in row["items"]]
                for row in warehouse.read(RECOMMENDATION_UPDATES).collect()}  # fmt: skip
    assert len(streamed) > 20
    assert [user for user, items in streamed.items() if "i0" in items] == []
    assert {items[0] for user, items in streamed.items() if user in {f"c{n}" for n in range(0, 80, 2)}} == {"i1"}
    pages = [one for row in warehouse.read(RECOMMENDATION_UPDATES).collect() for one in row["placements"]]
    assert {one["placement"] for one in pages} == set(PAGE)
    assert [one for one in pages if "i0" in [entry["item_id"] for entry in one["items"]]] == []
    popular = warehouse.read(POPULAR_ITEMS)
    assert {row["scope"] for row in popular.select("scope").distinct().collect()} == {
        "all",
        "segment=gold",
        "segment=new",
    }
    assert popular.where("item_id = 'i0'").isEmpty()
    similar = warehouse.read(SIMILAR_ITEMS).collect()
    assert len(similar) > 10
    assert [row["item_id"] for row in similar if "i0" in [one["item_id"] for one in row["items"]]] == []


def test_what_rules_cost_is_judged_like_everything_else(ruled: tuple[Job, dict[str, StepResult]]) -> None:
    rows = ruled[0].warehouse.read(EVALUATION_RESULTS).where("split = 'test' and metric = 'ndcg' and k = 10")
    figures = {row["model"]: row["value"] for row in rows.where("task = 'next_baskets'").collect()}
    assert figures["served_with_rules"] < figures["served"]


def test_segments_are_audited_on_the_test_days_and_not_at_the_gate_before_them(
    ruled: tuple[Job, dict[str, StepResult]],
) -> None:
    job, results = ruled
    rows = (
        job.warehouse.read(AUDIT_RESULTS).where("audit = 'segment' and metric = 'ndcg' and model = 'served'").collect()
    )
    groups = {(row["split"], row["task"], row["group"]): row["users"] for row in rows}
    assert {split for split, _, _ in groups} == {"test"}
    assert {group for _, _, group in groups} == {"gold", "new", "unknown"}
    judged = job.warehouse.read(EVALUATION_RESULTS).where("split = 'test' and metric = 'ndcg' and k = 10")
    whole = {row["task"]: row["users"] for row in judged.where("model = 'served'").collect()}
    for task, users in whole.items():
        assert sum(count for (_, other, _), count in groups.items() if other == task) == users
    assert results["evaluate"].record["audits"] == {"left_out": {}}


def test_the_rules_of_a_home_are_shown_with_what_they_change(
    ruled: tuple[Job, dict[str, StepResult]], capsys: pytest.CaptureFixture[str]
) -> None:
    freshet(["rules", "--home", str(ruled[0].home.root), "--json"], standalone_mode=False)
    shown = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in shown] == ["no i0", "gold sees i1 first", "no such brand"]
    assert shown[0]["effect"]["items_after"] == 0
    freshet(["rules", "--home", str(ruled[0].home.root)], standalone_mode=False)
    assert "no i0" in capsys.readouterr().out


def test_rules_that_somebody_else_has_changed_are_written_again(
    spark: SparkSession, ruled: tuple[Job, dict[str, StepResult]], tmp_path: Path
) -> None:
    job = dataclasses.replace(ruled[0], input_path=tmp_path / "rules.toml")
    (tmp_path / "rules.toml").write_text(RULES)
    assert run_step(WRITE_RULES, job).status == DONE  # recommend has written the attributes since
    assert run_step(WRITE_RULES, job).status == UP_TO_DATE
    job.warehouse.replace(frame(spark, MERCHANDISING_RULES, []), MERCHANDISING_RULES)
    assert run_step(WRITE_RULES, job).status == DONE
    assert job.warehouse.read(MERCHANDISING_RULES).count() == 3
    # Without rules nothing is asked of shoppers.
    (tmp_path / "rules.toml").write_text("")
    assert run_step(WRITE_RULES, job).status == DONE
    assert [job.warehouse.read(table).count() for table in (MERCHANDISING_RULES, USER_ATTRIBUTES)] == [0, 0]
