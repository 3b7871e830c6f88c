"""What the README says is what the code says."""

from pathlib import Path

from freshet.contracts import ALL_TABLES
from freshet.contracts.reference import with_reference

README = Path(__file__).parents[2] / "README.md"


def test_table_reference_is_that_of_the_contracts() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == with_reference(text, ALL_TABLES), "run scripts/readme.sh"
