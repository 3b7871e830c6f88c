"""Small shops for tests of the laboratory."""

import random
from datetime import datetime, timedelta

import pandas as pd

FIRST_DAY = datetime(2020, 1, 1)


def baskets(*, users: int = 40, items: int = 24, seed: int = 5) -> pd.DataFrame:
    """(user_id int, item_id text, time, basket int): three to six baskets of each user, of two to four items, mostly
    of the user's own half of the catalogue."""
    chance = random.Random(seed)
    rows = []
    for user in range(users):
        half = [f"i{n:02d}" for n in range(items) if n % 2 == user % 2]
        for basket in range(chance.randint(3, 6)):
            time = FIRST_DAY + timedelta(days=7 * basket + user % 5, hours=chance.randint(0, 12))
            for item in chance.sample(half, chance.randint(2, 4)):
                rows.append({"user_id": user + 100, "item_id": item, "time": time, "basket": 10 * user + basket})
    return pd.DataFrame(rows)


def pairs(strengths: dict[str, dict[str, float]]) -> pd.DataFrame:
    """(user_id, item_id): a row per pair."""
    return pd.DataFrame([{"user_id": user, "item_id": item} for user, own in strengths.items() for item in own])
