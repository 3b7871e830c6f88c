"""The main job: its steps in order. Any of them can be run alone, once those before it have run."""

from freshet.pipeline.build import BUILD
from freshet.pipeline.evaluate import EVALUATE
from freshet.pipeline.ingest_step import INGEST
from freshet.pipeline.promote import PROMOTE
from freshet.pipeline.recommend import RECOMMEND
from freshet.pipeline.replay import REPLAY
from freshet.pipeline.report import REPORT
from freshet.pipeline.train_propensity import TRAIN_PROPENSITY
from freshet.pipeline.train_recommender import TRAIN_RECOMMENDER
from freshet.pipeline.train_segments import TRAIN_SEGMENTS
from freshet.runs.job import Step

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
