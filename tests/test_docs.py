"""The pages for people: no dead link, no exit code that the code does not have."""

import re
from pathlib import Path

import pytest

from scorer import errors

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    dead = [target for target in targets if "://" not in target and not (page.parent / target).exists()]

    assert not dead


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md"])
def test_the_table_of_exit_codes_lists_those_of_the_errors(page: str) -> None:
    listed = {
        int(code) for code in re.findall(r"^\| (\d+) \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    }
    raised = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.ScorerError)
    }

    assert listed == {0} | raised
