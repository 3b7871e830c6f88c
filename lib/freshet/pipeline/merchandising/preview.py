"""What rules would change, before they are written: lists of real shoppers, and quality on the test days."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from freshet.core.errors import DataTooSmallError
from freshet.evaluation.ranking import Figures, equal_rows, paired_difference, per_user
from freshet.pipeline.merchandising.effects import ComparedLists, compared_lists
from freshet.pipeline.merchandising.rules import read_rules, without_items
from freshet.pipeline.merchandising.shopper_attributes import asked_of_shoppers
from freshet.pipeline.recommender.list_judging import SERVED, WITH_RULES, collected, served_lists, truths
from freshet.pipeline.recommender.recommender_fits import judged_cases
from freshet.ranking.artifact import Artifact
from freshet.registry.versions import ModelVersion
from freshet.rules.compiled import CompiledRules
from freshet.rules.list_rules import RulesOfModel
from freshet.runs.job import Job
from freshet.runs.merchandising import NO_SHOPPERS, compiled_for
from freshet.runs.policies import policy_of_lists
from freshet.runs.registered_models import RECOMMENDER, champion
from freshet.runs.steps import BUILD


@dataclass(frozen=True)
class RulePreview:
    """`compared`: lists with and without the rules; `unmatched`: rules that no item matches; `cost`: (value, low, high,
    users) of the difference in NDCG that the rules make on the test days, None without judged shoppers."""

    compared: ComparedLists
    unmatched: list[str]
    cost: Figures


def previewed(job: Job, path: Path) -> RulePreview:
    """The effect of the rules of a file on the lists of the home. Writes no table."""
    rules, version = read_rules(path), champion(job, RECOMMENDER)
    if version is None:
        raise DataTooSmallError("no recommender serves, so there are no lists to compare")
    asked = asked_of_shoppers(job, rules)
    shoppers = NO_SHOPPERS if asked is None else asked.toArrow()
    compiled = compiled_for(job.warehouse, rules, shoppers, job.windows().cut, job.settings.rules)
    policy = policy_of_lists(job)
    artifact = Artifact.load(version.folder)
    compared = compared_lists(job, artifact, RulesOfModel(compiled, artifact.items), policy=policy)
    return RulePreview(compared, without_items(compiled), _cost(job, version, compiled, policy))


def _cost(job: Job, version: ModelVersion, rules: CompiledRules, policy: str) -> Figures:
    windows, evaluation = job.windows(), job.settings.evaluation
    if not windows.has_live_part or not rules.rules:
        return []
    target = job.record(BUILD)["target"]
    _, cases = judged_cases(
        job, windows, start=windows.cut, end=windows.as_of, target=target, at_most=evaluation.max_users
    )
    saved = rules.without_availability().save(job.home.rules)
    length, k = max(evaluation.ks), job.settings.gate.k
    made = [
        served_lists(cases, artifact=version.folder, clock=windows.cut, length=length, model=name, rules=folder)
        for name, folder in ((SERVED, None), (WITH_RULES, saved))
    ]
    lists, truth = collected(*made), truths(cases, target=target, seed=evaluation.seed)
    judged = per_user(lists, truth, ks=[k], by=("task", "model"))
    plain, ruled = (
        judged.filter(pa.array(equal_rows(judged, {"task": policy, "model": name}))) for name in (SERVED, WITH_RULES)
    )
    return paired_difference(ruled, plain, metric="ndcg", k=k, samples=evaluation.bootstrap_samples)
