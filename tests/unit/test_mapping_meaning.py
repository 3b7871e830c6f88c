"""Two files of one mapping: what counts is what they mean."""

from pathlib import Path

import pytest

from freshet.cleaning.meaning import mapping_meaning, meaning_of_text
from freshet.core.errors import StateError
from freshet.core.records import fingerprint
from freshet.pipeline.ingestion.ingest import ingest_inputs
from freshet.service.lifecycle.checkpoint import opened_checkpoint
from freshet.sources.mapping import read_mapping

MAPPING = """
name = "shop"
format = "csv"
event_name = "purchase"
[columns]
user_id = "customer"
item_id = { column = "sku", case = "upper" }
price = "price"
[time]
column = "when"
"""

SAME = {
    "a comment": MAPPING + "# the shop's own clock\n",
    "layout": MAPPING.replace(" = ", "=").replace("\n[", "\n\n\n["),
    "order": MAPPING.replace('user_id = "customer"\n', "").replace("[time]", 'user_id = "customer"\n[time]'),
    "a value said that holds anyway": MAPPING.replace("[time]", '[time]\nzone = "UTC"'),
}
OTHER = {
    "another column": MAPPING.replace('"sku"', '"SKU"'),
    "another case": MAPPING.replace('"upper"', '"lower"'),
    "another zone": MAPPING.replace("[time]", '[time]\nzone = "Europe/London"'),
    "another name": MAPPING.replace('"shop"', '"shop2"'),
}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "shop.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", SAME.values(), ids=[*SAME])
def test_what_changes_nothing_refuses_no_checkpoint_and_repeats_no_ingest(tmp_path: Path, text: str) -> None:
    data = tmp_path / "orders.csv"
    data.write_text("customer,sku,price,when\n", encoding="utf-8")
    before = ingest_inputs(written(tmp_path, MAPPING), data)
    # As an earlier version kept it.
    begun = opened_checkpoint(tmp_path / "old", {"source": "folder in", "mapping": MAPPING})
    source = written(tmp_path, text)
    parts = {"source": "folder in", "mapping": mapping_meaning(read_mapping(source))}
    assert opened_checkpoint(tmp_path / "old", parts) == begun
    assert fingerprint(ingest_inputs(source, data)) == fingerprint(before)


@pytest.mark.parametrize("text", OTHER.values(), ids=[*OTHER])
def test_what_changes_a_record_is_another_mapping(tmp_path: Path, text: str) -> None:
    meaning = meaning_of_text(MAPPING)
    opened_checkpoint(tmp_path / "new", {"mapping": meaning})
    other = mapping_meaning(read_mapping(written(tmp_path, text)))
    assert other != meaning
    with pytest.raises(StateError, match="started with another mapping"):
        opened_checkpoint(tmp_path / "new", {"mapping": other})


def test_files_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    source, found = written(tmp_path, MAPPING), []
    for first, second in (("a", "b"), ("c", "b")):
        for folder, text in (("one", first), ("two", second)):
            (tmp_path / "in" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "in" / folder / "x.csv").write_text(f"customer,sku,price,when\n{text}\n", encoding="utf-8")
        found.append(ingest_inputs(source, tmp_path / "in"))
    assert found[0] != found[1]
