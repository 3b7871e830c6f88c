"""The laboratory: Freshet's models, terms, blend and evaluation on tables in memory, without a home.

A façade over the engine, which has no second implementation of anything: a blend is an artifact, its lists are those
that batch and stream would make, metrics are those of the evaluation. Every matrix has users as rows and items as
columns. Nothing here reads a file or needs a Spark session, except a model of one's own that reads frames.

    data = Interactions.of(frame, time="timestamp")
    split = last_basket(data)
    blend = fit(split, ["linear_items", "neighbours"], factors=True)
    judge(blend.lists(split, k=10), split, ks=10).figures()

README.md in this folder has the whole way, notebook.ipynb a published table.
"""

from freshet.contracts.policies import NEW_ITEMS, NEXT_BASKETS
from freshet.core.errors import FreshetError, InputError
from freshet.evaluation.kernels import Nearness
from freshet.evaluation.ranking import IDEAL_OF_LIST, IDEAL_OF_TRUTH
from freshet.lab.baselines import BASELINES, baseline
from freshet.lab.blend import Blend
from freshet.lab.fitting import fit
from freshet.lab.interactions import Interactions
from freshet.lab.judging import Judged, covered, judge
from freshet.lab.lists import Lists
from freshet.lab.own import ItemValues, MatrixModel, MatrixTerm, lists_of_scores, register, unregister
from freshet.lab.protocols import Protocol, last_basket, leave_one_out, random_share, session_next_item, time_split
from freshet.lab.splits import Cases, Split, given_split, hold_out
from freshet.models.factors.parameters import AlsParameters
from freshet.models.items.item_model import FitLimits, ItemModel
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.terms.registry import TERMS
from freshet.ranking.terms.term import ItemVector, SparseRows

__all__ = [
    "BASELINES",
    "IDEAL_OF_LIST",
    "IDEAL_OF_TRUTH",
    "ITEM_MODELS",
    "NEW_ITEMS",
    "NEXT_BASKETS",
    "TERMS",
    "AlsParameters",
    "Blend",
    "Cases",
    "FitLimits",
    "FreshetError",
    "InputError",
    "Interactions",
    "ItemModel",
    "ItemValues",
    "ItemVector",
    "Judged",
    "Lists",
    "MatrixModel",
    "MatrixTerm",
    "Nearness",
    "Protocol",
    "SparseRows",
    "Split",
    "baseline",
    "covered",
    "fit",
    "given_split",
    "hold_out",
    "judge",
    "last_basket",
    "leave_one_out",
    "lists_of_scores",
    "random_share",
    "register",
    "session_next_item",
    "time_split",
    "unregister",
]
