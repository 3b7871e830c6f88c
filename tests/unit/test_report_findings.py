"""The collector of the report: audits, limits, experiments and the earnings of lists, from records and tables."""

import re
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freshet.contracts import AUDIT_RESULTS, EVENTS, EXPERIMENT_RESULTS, LIST_OUTCOMES
from freshet.contracts.experiments import TOUCH_MODELS
from freshet.core.records import write_record
from freshet.ranking.lists.list_ids import ID_PATTERN, in_hexadecimal, recommendation_ids
from freshet.report.collect.audits import audits
from freshet.report.collect.experiments import experiments
from freshet.report.collect.sources import Sources
from freshet.report.content import Audits, Limit, Missing
from freshet.report.experiment_content import ArmFigure, Earnings, Experiments
from freshet.runs.home import Home
from freshet.tables.lookups.list_earnings import list_earnings
from tests.unit.test_report_data import bought, write

pytestmark = pytest.mark.unit

MOMENT = datetime(2024, 3, 1)


def sources(home: Home) -> Sources:
    return Sources(home, {}, 10)


def audit_row(run: str, split: str, model: str, audit: str, group: str, users: int = 9, **other: Any) -> dict[str, Any]:
    return {"run_id": run, "split": split, "task": "new_items", "model": model, "audit": audit, "group": group,
            "metric": "ndcg", "k": 10, "value": 0.5, "users": users, **other}  # fmt: skip


def judged(home: Home, *, tested: bool) -> Audits:
    """A home whose gate has a limit, with or without a run of the test days."""
    limits = [{"limit": "few", "refusals": ["too many"], "notes": [], "metrics": {}}]
    write_record(home.steps, "promote",
                 {"fingerprint": "p", "audits": {"limits": limits, "left_out": {"segment": "too early"}}})  # fmt: skip
    if tested:
        write_record(home.steps, "evaluate", {"fingerprint": "e", "audits": {"left_out": {}}})
    groups = ("unknown", "10 to 20", "1 to 2", "3 to 9")
    runs = (("p", "validation", "challenger"), ("e", "test", "served"), ("o", "test", "served"))
    rows = [audit_row(run, split, model, "activity", group)
            for run, split, model in runs
            for group in groups]  # fmt: skip
    rows += [audit_row("e", "test", "served", "Country", group, users)
             for group, users in (("others", 99), ("FR", 4), ("DE", 40), ("unknown", 200))]  # fmt: skip
    rows.append(audit_row("e", "test", "popularity/all", "activity", "1 to 2", task="next_baskets"))
    write(home, AUDIT_RESULTS, rows)
    found = audits(sources(home))
    assert isinstance(found, Audits)
    return found


def test_audits_are_those_of_the_test_days_with_groups_in_their_order(home: Home) -> None:
    write_record(home.steps, "recommend", {"fingerprint": "r", "policy": "new_items"})
    found = judged(home, tested=True)
    assert (found.ours, found.split, found.task, found.left_out) == ("served", "test", "new_items", ())
    assert found.of_shoppers == ("activity", "Country")
    of_activity = [one.group for one in found.at("new_items", "activity", "ndcg")]
    assert of_activity == ["1 to 2", "3 to 9", "10 to 20", "unknown"]
    assert [one.group for one in found.at("new_items", "Country", "ndcg")] == ["DE", "FR", "others", "unknown"]
    assert found.tasks == ("new_items", "next_baskets")
    assert found.limits == (Limit("few", ("too many",), ()),)


def test_without_test_days_they_are_those_of_the_gate(home: Home) -> None:
    found = judged(home, tested=False)
    assert (found.ours, found.split, found.task) == ("challenger", "validation", "new_items")
    assert found.left_out == (("segment", "too early"),)
    assert len(found.figures) == 4


def test_audits_that_there_are_not_are_missing_with_a_reason(home: Home) -> None:
    assert audits(sources(home)) == Missing("step promote has not run in this home")
    write_record(home.steps, "promote", {"fingerprint": "p"})
    assert audits(sources(home)) == Missing("no lists were judged by group")


def result_row(arm: str, metric: str, **other: Any) -> dict[str, Any]:
    return {"experiment": "ranker", "arm": arm, "metric": metric, "shoppers": 50, "sample_ratio_p": 0.5, "reasons": [],
            "events_until": MOMENT, "measured_at": MOMENT, **other}  # fmt: skip


def test_experiments_have_their_arms_with_the_control_first(home: Home) -> None:
    decided = {"decision": "ship", "reasons": ["better"]}
    write(home, EXPERIMENT_RESULTS, [
        result_row("new", "revenue", value=3.0, difference=1.0, low=0.5, high=1.5, **decided),
        result_row("new", "clicks", value=0.5, **decided),
        result_row("control", "revenue", value=2.0), result_row("control", "clicks", value=0.5),
        result_row("control", "orders", experiment="other", sample_ratio_p=1e-9),
        result_row("b", "orders", experiment="other", sample_ratio_p=1e-9, decision="invalid", reasons=["sizes"]),
    ])  # fmt: skip
    found = experiments(sources(home))
    assert isinstance(found, Experiments)
    assert [(one.name, one.is_invalid, one.sample_ratio_p) for one in found.experiments] == [
        ("ranker", False, 0.5), ("other", True, 1e-9),
    ]  # fmt: skip
    control, new = found.experiments[0].arms
    assert (control.name, control.decision, new.decision, new.reasons) == ("control", None, "ship", ("better",))
    assert new.figures == (ArmFigure("revenue", 3.0, 1.0, 0.5, 1.5), ArmFigure("clicks", 0.5, None, None, None))
    assert (found.earnings, found.currency) == ((), None)


def test_experiments_that_there_are_not_are_missing_with_a_reason(home: Home) -> None:
    assert experiments(sources(home)) == Missing("step experiments has not run in this home")
    write_record(home.steps, "experiments", {"fingerprint": "x"})
    assert experiments(sources(home)) == Missing("no experiment is enabled, and no list was shown")


def outcome(number: int, model: str, **sums: float) -> dict[str, Any]:
    return {"recommendation_id": f"3.0-{number:016x}", "model": model, "first_seen": MOMENT, **sums}


def test_lists_are_summed_by_the_version_that_made_them(home: Home) -> None:
    seen = {"impressions": 2, "clicks": 1, "orders": 0.5, "revenue": 4.0}
    rows = [outcome(number, model, **seen) for number in range(3) for model in TOUCH_MODELS]
    rows.append({**outcome(0, "last_touch", **seen), "recommendation_id": "of another shop"})
    write(home, LIST_OUTCOMES, rows)
    write(home, EVENTS, [bought("u1", "mug", MOMENT)])
    found = experiments(sources(home))
    assert isinstance(found, Experiments)
    assert found.of_touch("last_touch") == (
        Earnings("3.0", "last_touch", 3, 6, 3, 1.5, 12.0), Earnings(None, "last_touch", 1, 2, 1, 0.5, 4.0),
    )  # fmt: skip
    assert [one.lists for one in found.of_touch("shared_touch")] == [3]
    assert found.currency == "EUR"


@given(st.lists(st.tuples(st.sampled_from(["1.0", "10.2", "x", ""]), st.sampled_from(TOUCH_MODELS),
                          st.integers(0, 9)), min_size=1, max_size=20))  # fmt: skip
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_list_counts_once_for_its_version(home: Home, drawn: list[tuple[str, str, int]]) -> None:
    folder = Home(home.root / str(len(list(home.root.iterdir())))).prepare()
    write(folder, LIST_OUTCOMES, [
        {**outcome(number, model, impressions=clicks, clicks=clicks, orders=float(clicks), revenue=1.0),
         "recommendation_id": f"{version}-{number:016x}"}
        for number, (version, model, clicks) in enumerate(drawn)
    ])  # fmt: skip
    found = {(row["model_version"], row["model"]): (row["lists"], row["clicks"])
             for row in list_earnings(folder.warehouse, id_pattern=ID_PATTERN)}  # fmt: skip
    expected: dict[tuple[str | None, str], tuple[int, int]] = {}
    for version, model, clicks in drawn:
        key = (version if version in ("1.0", "10.2") else None, model)
        lists, before = expected.get(key, (0, 0))
        expected[key] = (lists + 1, before + clicks)
    assert found == expected


def test_the_ids_of_lists_are_of_the_form_that_is_read() -> None:
    keys = in_hexadecimal(np.array([0, 2**64 - 1], dtype=np.uint64))
    for one in recommendation_ids("12.0", keys).to_pylist():
        found = re.match(ID_PATTERN, one)
        assert found is not None
        assert found["model_version"] == "12.0"
