"""The value that another policy would have had, from rounds that were logged with their propensities.

from freshet.experiments.counterfactual.estimators import policy_values
from freshet.experiments.counterfactual.logged_rounds import LoggedRounds

shown = LoggedRounds(reward=[1, 0, 0, 1], propensity=[0.5, 0.1, 0.4, 0.25], probability=[0.4, 0.2, 0.4, 0.5])
for found in policy_values(shown):
    print(found.estimator, found.value, found.low, found.high, found.effective_rounds)
"""
