"""Why an item is in a list: the reasons that terms explain their contributions with."""

from typing import NamedTuple

from freshet.contracts.models import REASONS


class Reason(NamedTuple):
    """A reason of a place in a list. `code`: in column reason; `words`: for people.

    `is_decisive`: given wherever its terms lift a score, whatever else lifts it more.
    """

    code: str
    words: str
    is_decisive: bool = False


_BOUGHT, _SIMILAR, _TASTE, _POPULAR = REASONS

BOUGHT_BEFORE = Reason(_BOUGHT, "had it before", is_decisive=True)
SIMILAR_TO = Reason(_SIMILAR, "goes with")
TASTE = Reason(_TASTE, "fits the taste")
POPULAR_NOW = Reason(_POPULAR, "popular now")

BUILT_IN = (BOUGHT_BEFORE, SIMILAR_TO, TASTE, POPULAR_NOW)
