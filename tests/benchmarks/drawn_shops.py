"""Designed shops: shoppers with tastes, items that come and go in fashion, repeats. The same ones each time.

A shop is a Parquet file (shopper, session, order, item, event, second). A shopper of a taste takes an item with a
probability that rises with the product of their vectors, with the item's appeal, and falls with its age.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

VIEW, PURCHASE = "view_item", "purchase"

_FIRST_SECOND = 1_735_689_600
_DAY = 86_400
_DIMENSIONS = 6

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class _Catalogue:
    """Items with a vector, an appeal (of a logarithm) and the day on which they came; their appeal fades from then."""

    vectors: Vector
    appeal: Vector
    launched: Vector
    fading_days: float

    @staticmethod
    def drawn(rng: np.random.Generator, items: int, *, days: float, fading_days: float) -> "_Catalogue":
        """Half of the items are there from the first day, the others come over all `days`."""
        launched = np.maximum(0.0, rng.uniform(-days, days, items))
        return _Catalogue(rng.standard_normal((items, _DIMENSIONS)), rng.standard_normal(items), launched, fading_days)

    def taken(self, rng: np.random.Generator, taste: Vector, day: float, count: int) -> list[int]:
        """Distinct items that a shopper of this taste takes on a day, in the order in which they are taken."""
        score = self.vectors @ taste + self.appeal - np.maximum(0.0, day - self.launched) / self.fading_days
        # The largest of scores with such noise are draws in proportion to exp(score), without putting back.
        score = np.where(self.launched <= day, score + rng.gumbel(size=len(score)), -np.inf)
        return np.argsort(-score)[:count].tolist()


@dataclass
class _Log:
    """The rows of a shop."""

    rows: list[tuple[int, str, str | None, int, str, int]] = field(default_factory=list)

    def add(self, shopper: int, session: str, event: str, items: list[int], moment: float) -> None:
        """Events of a visit, from a moment (days from the start of the shop) on, some seconds apart."""
        order = session if event == PURCHASE else None
        second = _FIRST_SECOND + int(moment * _DAY)
        for place, item in enumerate(items):
            self.rows.append((shopper, session, order, item, event, second + 20 * place))

    def write(self, folder: Path) -> Path:
        """Writes shop.parquet in order of time; its path."""
        shopper, session, order, item, event, second = zip(*sorted(self.rows, key=lambda row: row[5]), strict=True)
        columns = {
            "shopper": [f"u{number:05d}" for number in shopper], "session": list(session),
            "order": pa.array(order, pa.string()), "item": [f"i{number:04d}" for number in item],
            "event": list(event), "second": pa.array(second, pa.int64()),
        }  # fmt: skip
        pq.write_table(pa.table(columns), folder / "shop.parquet")
        return folder / "shop.parquet"


def one_time_buyers(folder: Path, *, shoppers: int = 8_000, seed: int = 1) -> Path:
    """Eight months of a shop of 600 items in which 17 of 20 shoppers buy once; they look at items before.

    The others come back after 45 days on average, and one item in five that they buy then is one that they had.
    """
    rng, days = np.random.default_rng(seed), 240
    catalogue, log = _Catalogue.drawn(rng, 600, days=days, fading_days=60.0), _Log()
    for shopper in range(shoppers):
        taste = rng.standard_normal(_DIMENSIONS) * 0.8
        had: list[int] = []
        moment = rng.uniform(0, days)
        for visit in range(rng.choice([1, 2, 3, 4], p=[0.85, 0.1, 0.03, 0.02])):
            if moment >= days:
                break
            looked: list[int] = []
            for ahead in (*np.sort(rng.exponential(4.0, rng.integers(0, 3)))[::-1].tolist(), 0.0):
                seen = catalogue.taken(rng, taste, moment, 2 + int(rng.geometric(0.3)))
                # Nobody looks at anything before the shop has opened.
                log.add(shopper, f"v{shopper}-{visit}-{ahead:.3f}", VIEW, seen, max(0.0, moment - ahead))
                looked += seen
            wanted = rng.permutation(list(dict.fromkeys(looked))).tolist()[: rng.integers(1, 4)]
            again = [int(rng.choice(had)) if had and rng.random() < 0.2 else item for item in wanted]
            log.add(shopper, f"o{shopper}-{visit}", PURCHASE, list(dict.fromkeys(again)), moment + 0.01)
            had += again
            moment += rng.exponential(45.0)
    return log.write(folder)


def sessions_only(folder: Path, *, sessions: int = 8_000, seed: int = 2) -> Path:
    """Two months of sessions of clicks on 400 items, 2 to some 30 each, without shoppers.

    The next click is near the last one; one in ten goes back to an item of the same session.
    """
    rng, days = np.random.default_rng(seed), 60
    catalogue, log = _Catalogue.drawn(rng, 400, days=days, fading_days=40.0), _Log()
    for session in range(sessions):
        taste, moment = rng.standard_normal(_DIMENSIONS) * 0.5, rng.uniform(0, days)
        clicks = catalogue.taken(rng, taste, moment, 1)
        for _ in range(int(rng.geometric(0.2))):
            near = taste + 0.5 * catalogue.vectors[clicks[-1]]
            goes_back = rng.random() < 0.1
            clicks.append(int(rng.choice(clicks)) if goes_back else catalogue.taken(rng, near, moment, 1)[0])
        log.add(session, f"s{session}", VIEW, clicks, moment)
    return log.write(folder)


def three_hours(folder: Path, *, shoppers: int = 3_000, seed: int = 3) -> Path:
    """Three hours of clicks of known shoppers on 300 items, in one to three visits each.

    Three clicks in ten are on an item that the shopper has clicked on before.
    """
    rng, days = np.random.default_rng(seed), 3 / 24
    catalogue, log = _Catalogue.drawn(rng, 300, days=0.0, fading_days=1.0), _Log()
    for shopper in range(shoppers):
        taste, moment = rng.standard_normal(_DIMENSIONS) * 0.7, rng.uniform(0, days)
        had: list[int] = []
        for visit in range(int(rng.integers(1, 4))):
            if moment >= days:
                break
            clicks = catalogue.taken(rng, taste, moment, 1 + int(rng.geometric(0.3)))
            clicks = [int(rng.choice(had)) if had and rng.random() < 0.3 else item for item in clicks]
            log.add(shopper, f"s{shopper}-{visit}", VIEW, clicks, moment)
            had += clicks
            moment += rng.exponential(40 / 1440)
    return log.write(folder)


def small_43(folder: Path, *, shoppers: int = 43, seed: int = 4) -> Path:
    """A year of weekly baskets of 43 shoppers from 400 items: 25 staples each, some of them rare, which change, and
    what is tried."""
    rng, weeks = np.random.default_rng(seed), 52
    catalogue, log = _Catalogue.drawn(rng, 400, days=7.0 * weeks, fading_days=120.0), _Log()
    for shopper in range(shoppers):
        taste, weekday = rng.standard_normal(_DIMENSIONS) * 0.7, rng.uniform(0, 7)
        staples = {item: rng.beta(1, 3) for item in catalogue.taken(rng, taste, 0.0, 25)}
        for week, moment in _visits(rng, weeks, weekday):
            basket = [item for item, chance in staples.items() if rng.random() < chance]
            tried = catalogue.taken(rng, taste, moment, int(rng.integers(1, 4)))
            log.add(shopper, f"o{shopper}-{week}", PURCHASE, list(dict.fromkeys([*basket, *tried])), moment)
            staples = {item: chance for item, chance in staples.items() if rng.random() > 0.02}
            staples |= {item: rng.beta(1, 3) for item in tried if item not in basket and rng.random() < 0.25}
    return log.write(folder)


def _visits(rng: np.random.Generator, weeks: int, weekday: float) -> Iterator[tuple[int, float]]:
    """(week, moment in days) of a shopper who comes about every week on the same day; one week in ten is left out."""
    for week in range(weeks):
        if rng.random() < 0.9:
            yield week, 7.0 * week + (weekday + rng.normal(0, 0.5)) % 7
