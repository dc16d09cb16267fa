"""The page of settings: generated, complete, and current."""

from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Literal

import pytest
from pydantic import Field

from scorer import settings
from scorer.run.reference import generated, kinds
from scorer.settings import Job, Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


class Cup(Settings):
    """What is drunk from."""

    volume_ml: int = Field(200, gt=0, le=1000)
    """How much
    goes in."""


class BigCup(Cup):
    """What more is drunk from."""

    volume_ml: int = 400


class Tea(Settings):
    """How tea is made."""

    leaves: Literal["green", "black"]
    """Which | what."""

    steep: timedelta = timedelta(minutes=3)
    """How long."""

    milk: float | None = None
    """How much."""

    cup: Cup = Cup()
    """From which."""

    guests: Cup = Cup(volume_ml=100)
    """From which others drink."""

    spare: BigCup = BigCup()
    """For the thirsty."""

    again: Cup = Cup()
    """For another one."""

    by_name: dict[str, Cup] = Field(default_factory=dict)
    """Everybody's own."""


@pytest.fixture
def page() -> str:
    module = ModuleType(__name__)
    for kind in (Cup, BigCup, Tea):
        setattr(module, kind.__name__, kind)
    return generated(module)


def test_the_page_in_the_docs_is_the_one_that_the_classes_give() -> None:
    assert PAGE.read_text(encoding="utf-8") == generated(), "Run: make schemas"


def test_every_setting_says_what_it_changes() -> None:
    rows = [line for line in generated().splitlines() if line.startswith("| `")]

    assert len(rows) > len(Job.model_fields)
    assert [row for row in rows if not row.replace("\\|", "").split("|")[4].strip()] == []


def test_every_group_of_settings_is_a_commands_or_within_one() -> None:
    text = generated()

    for kind in kinds(settings):
        assert f"\n## {kind.__name__}\n" in text
        for name in kind.model_fields:
            assert f"`{name}`" in text or f": {name}\n" in text


def test_a_setting_shows_its_type_bounds_default_and_text_in_one_line(page: str) -> None:
    assert "| `leaves` | `green` or `black` | **required** | Which \\| what. |" in page
    assert "| `steep` | duration | `3m` | How long. |" in page
    assert "| `milk` | number | none | How much. |" in page
    assert "| `cup.volume_ml` | whole number, above 0, at most 1,000 | `200` | How much goes in. |" in page
    assert "by name | none | Everybody's own. |" in page


def test_the_default_of_a_group_is_the_one_that_counts_in_its_place(page: str) -> None:
    assert "| `guests.volume_ml` | whole number, above 0, at most 1,000 | `100` | How much goes in. |" in page
    assert "| `spare.volume_ml` | whole number | `400` | How much goes in. |" in page


def test_a_group_that_stands_twice_is_listed_once(page: str) -> None:
    assert "### Tea: again\n\nAs in [Tea: cup](#tea-cup).\n" in page
    assert "`again.volume_ml`" not in page


def test_a_group_is_no_kind_of_its_own(page: str) -> None:
    assert "## Tea\n" in page
    assert "## Cup\n" not in page
    assert "## BigCup\n" not in page


def test_what_changes_no_score_is_not_marked() -> None:
    rows = {line.split("`")[1]: line for line in generated().splitlines() if line.startswith("| `")}

    assert rows["precision"].endswith("| yes |")
    assert not rows["speed.batch_rows"].endswith("| yes |")
