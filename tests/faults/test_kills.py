"""Three runs and a few races of what `make kills` does at length: the real job, the real model, SIGKILL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.kills import Campaign, campaign, table
from tests.faults.races import race
from tests.faults.readers import Readers

RUNS, RACES = 3, 3

Made = tuple[Campaign, Readers]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with campaign(tmp_path_factory.mktemp("kills"), "local", seed=7) as made:
        yield made


def unbroken(made: Made) -> None:
    """No rule was broken so far, whether by a run or in the eyes of a reader."""
    campaign, readers = made
    text = table(campaign.figures, readers.seen, 0)
    assert "No rule was broken." in text, text
    assert all(seen.polls for seen in readers.seen.values()), text


def test_runs_that_are_killed_anywhere_end_with_the_rows_and_the_manifest_of_an_undisturbed_run(
    made: Made,
) -> None:
    for number in range(RUNS):
        made[0].run(number)
    assert sum(made[0].figures.kills.values()) >= RUNS
    unbroken(made)


def test_of_racing_publishers_one_publishes_and_the_others_say_so(made: Made, tmp_path: Path) -> None:
    for number in range(RACES):
        codes = race(made[0], 100 + number, 2 + 2 * number, tmp_path / str(number), staged=number > 0)
        assert codes == {0: 1, 5: 1 + 2 * number}
    unbroken(made)
