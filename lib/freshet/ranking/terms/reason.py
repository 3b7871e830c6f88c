"""The reasons by which terms explain why an item is in a list."""

from typing import NamedTuple

from freshet.contracts.models import REASONS


class Reason(NamedTuple):
    """A reason for an item of a list. `code`: the value of column reason; `words`: the text for people.

    `is_decisive`: given whenever its terms raise a score, even if others raise it more.
    """

    code: str
    words: str
    is_decisive: bool = False


_BOUGHT, _VIEWED, _SIMILAR, _SHOPPERS, _TASTE, _POPULAR, _PROMOTED, _EXPLORED, _GOES = REASONS

BOUGHT_BEFORE = Reason(_BOUGHT, "bought before", is_decisive=True)
VIEWED_BEFORE = Reason(_VIEWED, "looked at before", is_decisive=True)
"""In place of BOUGHT_BEFORE for an item that the shopper has not bought: viewed, put in a cart, rated."""
SIMILAR_TO = Reason(_SIMILAR, "similar to")
SIMILAR_SHOPPERS = Reason(_SHOPPERS, "taken by similar shoppers")
TASTE = Reason(_TASTE, "fits the taste")
POPULAR_NOW = Reason(_POPULAR, "popular now")
PROMOTED = Reason(_PROMOTED, "promoted by a rule")
"""For an item that a rule has put into a list instead of a better one."""

EXPLORED = Reason(_EXPLORED, "new or little known, shown by chance")
"""For an item that was drawn for its place."""

GOES_WITH = Reason(_GOES, "goes with")
"""For an item that tends to follow one of the cart."""

BUILT_IN = (
    BOUGHT_BEFORE, VIEWED_BEFORE, SIMILAR_TO, SIMILAR_SHOPPERS, TASTE, POPULAR_NOW, PROMOTED, EXPLORED, GOES_WITH,
)  # fmt: skip
