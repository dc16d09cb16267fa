"""A worker of any engine: what it is set up with."""

from pathlib import Path

import pytest

from scorer.intake.ids import read_ids
from scorer.run.check import check
from scorer.run.plan import make_plan
from scorer.run.tools import Tools
from scorer.run.worker import worker
from tests.tiny import Market, local_market


@pytest.fixture
def market(tmp_path: Path, bundle: str) -> Market:
    return local_market(tmp_path, bundle)


@pytest.mark.parametrize(("wanted", "gets"), [("auto", 8), (4, 4)])
def test_a_number_among_the_settings_goes_before_the_plans(wanted: str | int, gets: int, market: Market) -> None:
    """Who starts a run again with less, because the plan's number took more memory than there is, is heard."""
    job = market.job(speed={"batch_images": wanted})
    checked = check(job, market.store)
    plan = make_plan("digest", checked, read_ids(checked.partition, market.store), job, 8)
    with worker(plan, checked, job, Tools(market.store)) as ready:
        assert ready.predictor.batch_images == gets
