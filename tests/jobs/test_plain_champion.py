"""A shop whose challenger the gate refuses while nothing serves: the best plain methods serve, in every step."""

import random
from datetime import datetime, timedelta

import pytest
from pyspark.sql import SparkSession

from freshet.contracts import (
    AUDIT_RESULTS,
    EVALUATION_RESULTS,
    ITEMS_HISTORY,
    MODEL_DECISIONS,
    RECOMMENDATIONS,
    SIMILAR_ITEMS,
)
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.registered_models import RECOMMENDER, champion, registry
from freshet.runs.registry import main_steps
from freshet.runs.runner import DONE, StepResult, run_step
from freshet.runs.settings import load_settings
from freshet.runs.steps import PROMOTE, RECOMMEND, TRAIN_PROPENSITY, TRAIN_RECOMMENDER, TRAIN_SEGMENTS
from tests.factories import frame
from tests.jobs.small_shop import OVERRIDES, write_mapping

pytestmark = [pytest.mark.jobs, pytest.mark.delta]

UNSEARCHED = (
    *OVERRIDES,
    "search.min_validation_users=100000",
    'lists.seen_policy="auto"',
    'audits.attributes=["Country"]',
)
START, SPAN, LIVE = datetime(2025, 1, 1, 9), 200, 30
HITS = [f"hit{n}" for n in range(3)]


class KilledError(Exception):
    """Stands for the end of the process."""


def one_time_buyers() -> list[str]:
    """Nobody takes an item twice. Most come once, for the hits; some come back, and then for the hits too.

    So own items, which are served first where nothing is searched, are all wrong, and popularity is right.
    """
    draw = random.Random(11)
    rows = ["order,customer,item,time,pieces,price"]

    def bought(customer: str, day: int, *items: str) -> None:
        moment = START + timedelta(days=day, minutes=len(rows))
        rows.extend(f"o{customer}-{day},{customer},{item},{moment:%Y-%m-%d %H:%M},1,5" for item in items)

    for n in range(60):
        bought(f"once{n}", draw.randrange(5, SPAN - LIVE), *HITS)
    for n in range(20):
        for item in draw.sample(range(40), 12):
            bought(f"back{n}", draw.randrange(0, SPAN - 2 * LIVE - 5), f"i{item}")
        bought(f"back{n}", SPAN - LIVE - 10 + n % 5, HITS[0])
        bought(f"back{n}", SPAN - 10 + n % 5, HITS[1])
    bought("once0", SPAN, "i0")
    return rows


@pytest.fixture(scope="module")
def finished(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, dict[str, StepResult]]:
    """All steps but those of other models; the gate was killed before its record was written, and run again."""
    folder = tmp_path_factory.mktemp("shop")
    mapping, data = write_mapping(folder), folder / "orders.csv"
    data.write_text("\n".join(one_time_buyers()) + "\n")
    job = Job(
        spark, Home(folder / "home").prepare(), load_settings("test", UNSEARCHED), source=mapping, input_path=data
    )
    results = {}
    for step in (step for step in main_steps() if step not in (TRAIN_PROPENSITY, TRAIN_SEGMENTS)):
        if step is PROMOTE:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("freshet.runs.runner.write_record", killed)
                with pytest.raises(KilledError):
                    run_step(step, job)
        if step is RECOMMEND:
            just_before = job.windows().cut - timedelta(minutes=1)
            state = {"item_id": "hit2", "valid_from": just_before, "known_at": just_before, "available": False}
            job.warehouse.append(frame(spark, ITEMS_HISTORY, [state]), ITEMS_HISTORY)
        results[step.name] = run_step(step, job)
    return job, results


def killed(*_: object) -> None:
    raise KilledError


def test_every_step_that_needs_a_recommender_has_one(finished: tuple[Job, dict[str, StepResult]]) -> None:
    _, results = finished
    needing = ("promote", "recommend", "replay", "evaluate", "report")
    assert {name: results[name].status for name in needing} == dict.fromkeys(needing, DONE)


def test_the_refusal_and_the_plain_methods_in_its_place_are_decisions_with_reasons(
    finished: tuple[Job, dict[str, StepResult]],
) -> None:
    job, _ = finished
    rows = job.warehouse.read(MODEL_DECISIONS).where(f"model_name = '{RECOMMENDER}'").orderBy("model_version").collect()
    assert [(row["model_version"], row["accepted"]) for row in rows] == [("1.0", False), ("2.0", True)]
    assert any("popularity" in reason and "worse than" in reason for reason in rows[0]["reasons"])
    assert "version 1.0 was refused" in rows[1]["reasons"][0]
    assert rows[1]["reasons"][1].startswith("next_baskets: popularity_")
    serving = champion(job, RECOMMENDER)
    assert serving is not None
    assert (serving.model_version, serving.generation) == ("2.0", 1)
    assert registry(job).challenger(RECOMMENDER) is None


def test_everybody_has_a_list_and_items_have_neighbours(finished: tuple[Job, dict[str, StepResult]]) -> None:
    job, _ = finished
    lists = {row["user_id"]: row for row in job.warehouse.read(RECOMMENDATIONS).collect()}
    assert lists.keys() == {*(f"once{n}" for n in range(60)), *(f"back{n}" for n in range(20))}
    assert {row["model_version"] for row in lists.values()} == {"2.0"}
    assert all(len(row["items"]) == 20 for row in lists.values())
    near = {
        row["item_id"]: [entry["item_id"] for entry in row["items"]]
        for row in job.warehouse.read(SIMILAR_ITEMS).collect()
    }
    assert near["hit0"][0] == "hit1"
    assert set(near["hit2"][:2]) == {"hit0", "hit1"}
    # What cannot be had is nowhere.
    listed = [entry["item_id"] for row in lists.values() for entry in row["items"]]
    assert "hit2" not in {*listed, *(item for neighbours in near.values() for item in neighbours)}


def test_what_serves_is_as_good_as_the_plain_methods_that_beat_the_challenger(
    finished: tuple[Job, dict[str, StepResult]],
) -> None:
    job, results = finished
    figures = {
        (row["task"], row["model"]): row["value"]
        for row in results["evaluate"].record["figures"]
        if row["metric"] == "ndcg" and row["k"] == 10
    }
    # Of windows that are equally good on validation that of all time is chosen.
    for task in ("next_baskets", "new_items"):
        assert figures[task, "served"] == pytest.approx(figures[task, "popularity/all"])
        assert figures[task, "served"] > 0.5
    rows = job.warehouse.read(EVALUATION_RESULTS).where("split = 'test' and model = 'served'").count()
    assert rows > 0
    page = (job.home.root / "report" / "index.html").read_text(encoding="utf-8")
    assert "is the best of the plain methods" in page


def test_a_later_challenger_is_compared_with_them_as_with_any_champion(
    finished: tuple[Job, dict[str, StepResult]],
) -> None:
    job, _ = finished
    other = load_settings("test", (*UNSEARCHED, "search.own_half_lives_days=[30.0]"))
    later = Job(job.spark, job.home, other, source=job.source, input_path=job.input_path)
    run_step(TRAIN_RECOMMENDER, later)
    decision = run_step(PROMOTE, later).record["decisions"][RECOMMENDER]
    assert not decision["accepted"]
    assert any("against champion" in reason and "worse than" in reason for reason in decision["reasons"])
    serving = champion(job, RECOMMENDER)
    assert serving is not None
    assert serving.version == 2
    assert [version.version for version in registry(job).versions(RECOMMENDER)] == [1, 2, 3]


def test_the_gate_and_the_test_days_give_quality_by_group_of_shoppers(
    finished: tuple[Job, dict[str, StepResult]],
) -> None:
    job, _ = finished
    rows = [row.asDict() for row in job.warehouse.read(AUDIT_RESULTS).where("metric = 'ndcg'").collect()]
    assert {(row["split"], row["audit"]) for row in rows} == {
        (split, audit) for split in ("validation", "test") for audit in ("activity", "tenure", "Country")
    }
    # The orders have no such property.
    assert {row["group"] for row in rows if row["audit"] == "Country"} == {"unknown"}
    totals = job.warehouse.read(EVALUATION_RESULTS).where("metric = 'ndcg' and k = 10 and split = 'test'").collect()
    whole = {(row["task"], row["model"]): row for row in totals}
    assert whole
    for (task, model), total in whole.items():
        for audit in ("activity", "tenure", "Country"):
            mine = [r for r in rows if (r["split"], r["task"], r["model"], r["audit"]) == ("test", task, model, audit)]
            assert sum(row["users"] for row in mine) == total["users"]
            mean = sum(row["users"] * row["value"] for row in mine) / total["users"]
            assert mean == pytest.approx(total["value"], abs=1e-6)


def test_the_gate_and_the_test_days_say_how_popular_the_listed_items_are(
    finished: tuple[Job, dict[str, StepResult]],
) -> None:
    job, _ = finished
    rows = [row.asDict() for row in job.warehouse.read(AUDIT_RESULTS).where("audit = 'item_popularity'").collect()]
    assert {(row["split"], row["k"]) for row in rows} == {("validation", 10), ("test", 10)}
    for run, task, model in {(row["run_id"], row["task"], row["model"]) for row in rows}:
        mine = [row for row in rows if (row["run_id"], row["task"], row["model"]) == (run, task, model)]
        shares = {name: [row["value"] for row in mine if row["metric"] == name]
                  for name in ("exposure_share", "purchase_share")}  # fmt: skip
        assert [sum(values) for values in shares.values()] == [pytest.approx(1.0)] * 2
        # Only shoppers with items before are judged, so that lists have a taste to be compared with.
        assert [row["group"] for row in mine if row["metric"] == "popularity_lift"] == ["all"]
    assert {row["model"] for row in rows} > {"served", "challenger"}


def test_an_audit_without_data_stays_out_and_the_records_say_why(
    finished: tuple[Job, dict[str, StepResult]],
) -> None:
    _, results = finished
    no_segments = {"segment": "there are no segments yet"}
    assert results["promote"].record["audits"] == {"limits": [], "left_out": no_segments}
    assert results["evaluate"].record["audits"] == {"left_out": no_segments}
