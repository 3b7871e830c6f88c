"""The main job: its steps in order. Any of them can be run alone, once those before it have run."""

from freshet.steps.build import BUILD
from freshet.steps.evaluate import EVALUATE
from freshet.steps.intake import INGEST
from freshet.steps.job import Step
from freshet.steps.promote import PROMOTE
from freshet.steps.propensity import TRAIN_PROPENSITY
from freshet.steps.recommend import RECOMMEND
from freshet.steps.recommender import TRAIN_RECOMMENDER
from freshet.steps.replay import REPLAY
from freshet.steps.report import REPORT
from freshet.steps.segments import TRAIN_SEGMENTS

MAIN_STEPS: tuple[Step, ...] = (
    INGEST,
    BUILD,
    TRAIN_RECOMMENDER,
    TRAIN_PROPENSITY,
    TRAIN_SEGMENTS,
    PROMOTE,
    RECOMMEND,
    REPLAY,
    EVALUATE,
    REPORT,
)
