"""The examples of the room's README run as they are, and the bundled data go through in seconds."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd

import freshet.lab
from freshet.lab import Interactions, baseline, fit, judge, last_basket

README = Path(freshet.lab.__file__).with_name("README.md")


def test_the_readme_is_short_and_its_examples_run() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("mrr", "contribution", "mine", "scores"):
        assert word in done.stdout


def test_every_public_name_exists_and_has_words() -> None:
    assert len(set(freshet.lab.__all__)) == len(freshet.lab.__all__)
    for name in freshet.lab.__all__:
        one = getattr(freshet.lab, name)
        assert not callable(one) or name == "Protocol" or one.__doc__


def test_the_bundled_shop_is_judged_by_its_last_baskets() -> None:
    columns = ["Invoice", "StockCode", "Quantity", "InvoiceDate", "Customer ID"]
    rows = pd.read_parquet(README.parents[1] / "data" / "online_retail_II.parquet", columns=columns).dropna()
    rows = rows[(rows["Quantity"] > 0) & (rows["Customer ID"] % 10 == 0)].astype({"Customer ID": int})
    rows = rows.assign(time=pd.to_datetime(rows["InvoiceDate"], format="%m/%d/%Y %H:%M"))
    data = Interactions.of(rows, user_id="Customer ID", item_id="StockCode", basket="Invoice")
    split = last_basket(data)
    validation = last_basket(split.train)
    weights = fit(validation, ["neighbours"]).searched(validation).weights()
    lists = {"blend": fit(split, ["neighbours"]).with_weights(weights).lists(split)}
    judged = judge({**lists, **{name: baseline(name, split) for name in ("popularity", "frequency")}}, split)
    assert judged.difference("blend", "popularity", metric="mrr")["low"] > 0.1
    assert judged.value("ndcg", model="blend") > judged.value("ndcg", model="frequency") > 0.2
