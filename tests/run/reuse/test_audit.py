"""What was taken over is held against what is computed, each output by its own target's spread."""

import numpy as np
import pytest

from scorer.errors import AuditError
from scorer.model.readout import Readout, Target
from scorer.run.reuse.audit import insist_on_scores

SPREADS = {"prediction": 300_000.0, "prediction_rating": 0.5}


def insist(then: dict[str, float], now: dict[str, float]) -> None:
    insist_on_scores(
        ["home-1"],
        "run r",
        {name: np.array([value]) for name, value in then.items()},
        {name: np.array([value]) for name, value in now.items()},
        1e-5,
        SPREADS,
    )


def test_arithmetic_may_differ_by_a_share_of_the_outputs_own_spread() -> None:
    insist({"prediction": 500_000.0, "prediction_rating": 4.0}, {"prediction": 500_002.0, "prediction_rating": 4.00001})


@pytest.mark.parametrize("now", [4.5, 4.001, float("nan")])
def test_a_small_output_is_not_measured_by_the_spread_of_a_large_one(now: float) -> None:
    with pytest.raises(AuditError, match="prediction_rating of listing home-1 is 4 by run r"):
        insist({"prediction": 5.0, "prediction_rating": 4.0}, {"prediction": 5.0, "prediction_rating": now})


def test_an_end_of_an_interval_has_the_target_of_its_output() -> None:
    rating = Target(column="rating", transform={"kind": "identity"}, sd=0.5)
    readout = Readout(further={"rating": rating})
    assert [readout.target_of(name) for name in ("rating", "rating_low", "rating_high")] == [rating] * 3
    assert [readout.target_of(name) for name in ("prediction", "low", "image_effect", "rating_x")] == [None] * 4
