"""What a sample of JSON records says of the columns of a source."""

import json
from pathlib import Path
from typing import Any

import pytest

from freshet.contracts.inputs import InputFormat
from freshet.sources.json_lines import sampled_schema

LIST: dict[str, Any] = {"item": [{"sku": 1}], "user": {"id": 7}}


def schema_text(tmp_path: Path, text: str, *, multi_line: bool = False) -> str | None:
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    form = InputFormat("json", None, ",", '"', '"', None, None, "UTF-8", multi_line, False)
    found = sampled_schema([path], form)
    return None if found is None else found.simpleString()


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([LIST], "struct<item:array<struct<sku:string>>,user:struct<id:string>>"),
        ([LIST, {"item": None}], "struct<item:string,user:string>"),
        ([LIST, {"item": "i1", "user": {"name": "ann"}}], "struct<item:string,user:struct<id:string,name:string>>"),
        ([LIST] * 10 + [{"more": 1}] * 5, "struct<item:array<struct<sku:string>>,user:struct<id:string>,more:string>"),
        ([LIST] * 9 + [{"more": 1}] * 5, "struct<item:string,user:string,more:string>"),
    ],
    ids=["all", "too few", "sometimes a text", "ten of fifteen", "nine of fourteen"],
)
def test_a_field_is_a_list_or_a_struct_where_enough_records_have_it_as_nothing_else(
    tmp_path: Path, records: list[dict[str, Any]], expected: str
) -> None:
    assert schema_text(tmp_path, "\n".join(map(json.dumps, records))) == expected
    assert schema_text(tmp_path, json.dumps(records, indent=1), multi_line=True) == expected


def test_what_is_no_record_says_nothing(tmp_path: Path) -> None:
    assert schema_text(tmp_path, 'hello\n[1]\n[]\n17\n{"a": \n' + "[" * 100_000) is None
    assert schema_text(tmp_path, '\ufeff{"a": 1}\nhello\n') == "struct<a:string>"
    # The last line is cut off by the bound.
    assert schema_text(tmp_path, f'{{"a": 1}}\n{{"b": "{"x" * 2_000_000}"}}\n') == "struct<a:string>"
