"""The policy of lists: the one that serves, and the one that the batch lists were made with."""

from freshet.contracts.policies import NEW_ITEMS, NEXT_BASKETS
from freshet.ranking.parameters import AUTO
from freshet.runs.job import Job
from freshet.runs.steps import RECOMMEND, TRAIN_RECOMMENDER


def served_policy(job: Job) -> str:
    """The policy of the lists: that of the settings; for auto, decided by the share of repeats among items taken."""
    policy = job.settings.lists.seen_policy
    if policy != AUTO:
        return policy
    share = job.record(TRAIN_RECOMMENDER).get("repeat_share")
    return NEXT_BASKETS if share is None or share >= job.settings.lists.repeat_share else NEW_ITEMS


def policy_of_lists(job: Job) -> str:
    """The policy that the batch lists were made with; `served_policy` if no recommender served at that time. Raises
    StateError if the step has not run."""
    recorded = job.record(RECOMMEND).get("policy")
    return served_policy(job) if recorded is None else str(recorded)
