"""A small designed shop: two kinds of shoppers, each with an own half of the catalogue; orders on most weeks."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

SEED = 7
SHOPPERS = 60

OVERRIDES = (
    "evaluation.min_target_users=10",
    "gate.min_users=10",
    "propensity.min_positives=20",
    'lists.seen_policy="next_baskets"',
    "stream.slice_hours=240",
    "stream.fewest_slices=3",
)
"""What so small a shop needs on top of the settings for tests; three micro-batches show what thirty do."""

_MAPPING = """
name = "small_shop"
format = "csv"

[columns]
transaction_id = "order"
user_id = "customer"
item_id = "item"
quantity = "pieces"
price = "price"

[event_name]
constant = "purchase"

[time]
column = "time"
formats = ["yyyy-MM-dd HH:mm"]
zone = "UTC"
"""


def shop_rows() -> list[str]:
    """The lines of its export over 200 days, with a header."""
    draw = random.Random(SEED)
    start, rows = datetime(2025, 1, 1, 9), ["order,customer,item,time,pieces,price"]
    for customer in range(SHOPPERS):
        for week in range(28):
            if draw.random() < 0.6:
                moment = start + timedelta(days=7 * week + draw.randrange(7), minutes=customer)
                for item in draw.sample(range(0 if customer % 2 else 15, 15 if customer % 2 else 30), 3):
                    rows.append(f"o{customer}-{week},c{customer},i{item},{moment:%Y-%m-%d %H:%M},1,{1 + item}")
    return rows


def write_shop(folder: Path, more: Sequence[str] = ()) -> tuple[Path, Path]:
    """Writes mapping and data, with `more` lines at the end; their paths."""
    mapping, data = write_mapping(folder), folder / "orders.csv"
    data.write_text("\n".join([*shop_rows(), *more]) + "\n")
    return mapping, data


def write_mapping(folder: Path) -> Path:
    """Writes the mapping of such exports; its path."""
    mapping = folder / "small_shop.toml"
    mapping.write_text(_MAPPING)
    return mapping
