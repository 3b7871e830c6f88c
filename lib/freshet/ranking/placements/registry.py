"""The registered placements. A new one is added here, in one line."""

from freshet.core.named import NameRegistry
from freshet.ranking.placements.blended import BuyAgain, ForYou, Session
from freshet.ranking.placements.neighbouring import BecauseYouTook, GoesWith
from freshet.ranking.placements.placement import Placement

PLACEMENTS: NameRegistry[Placement] = NameRegistry(
    "placement", BuyAgain(), ForYou(), Session(), BecauseYouTook(), GoesWith()
)
