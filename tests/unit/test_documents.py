"""What the documents say is what the code says."""

import re
from pathlib import Path

import pytest

from freshet.contracts import ALL_TABLES
from freshet.contracts.reference import markdown

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in (*REPOSITORY.glob("*.md"), *(REPOSITORY / ".github").rglob("*.md"),
                 *(path for room in ("lib", "conf", "tests") for path in (REPOSITORY / room).rglob("*.md")))
)  # fmt: skip


def test_table_reference_is_that_of_the_contracts() -> None:
    text = (REPOSITORY / "lib/freshet/contracts/TABLES.md").read_text(encoding="utf-8")
    assert text == markdown(ALL_TABLES), "run scripts/generate.sh"


def test_readme_is_short_enough_to_be_read() -> None:
    assert (REPOSITORY / "README.md").stat().st_size <= 14_000


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_links_lead_to_files_and_headings_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    broken = []
    for link in links:
        place, _, heading = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        if not target.exists() or (heading and heading not in _headings(target)):
            broken.append(link)
    assert broken == []


def _headings(path: Path) -> set[str]:
    """The names under which the headings of a Markdown file can be linked to."""
    titles = re.findall(r"(?m)^#+ (.+)$", path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
