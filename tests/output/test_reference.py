from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scorer.model.target import TargetTransform
from scorer.output.distribution import Distribution, Distributions
from scorer.output.gates.effect import compare
from scorer.output.reference import target_span, training
from scorer.run.sketch import Sketcher
from scorer.training.features import fit_preprocessing
from scorer.training.profile import profile


def made() -> dict[str, Any]:
    table = pa.table(
        {
            "area": [float(number) for number in range(99)] + [None],
            "city": ["Lyon"] * 60 + ["Porto"] * 30 + [None] * 10,
            "garden": [True] * 75 + [False] * 25,
        }
    )
    preprocessing = fit_preprocessing(table, ("area", "city", "garden"), "standard", 64)
    images = np.array([0] * 10 + [2] * 90)
    return profile(table, preprocessing, np.arange(1.0, 101.0), np.arange(40.0), images)


def test_a_profile_becomes_the_counts_that_it_was_made_from() -> None:
    found = training(made())
    assert found.features["area"].missing == 1
    assert sum(found.features["area"].counts) == 99
    assert len(found.features["area"].counts) == len(found.features["area"].edges) + 1 == 22
    assert found.features["area"].edges[0] == 0.0
    assert found.features["area"].edges[-1] == pytest.approx(98.0)
    assert (found.features["area"].counts[0], found.features["area"].counts[-1]) == (0, 0)
    assert found.features["city"] == Distribution(
        kind="category", values=("Lyon", "Porto"), counts=(60, 30, 0), missing=10
    )
    assert found.features["garden"] == Distribution(kind="boolean", values=("True", "False"), counts=(75, 25, 0))
    assert found.images == Distribution(edges=(1.0, 2.0), counts=(10, 0, 90))
    assert found.scores.scored == 40
    assert (found.scores.minimum, found.scores.maximum) == (0.0, 39.0)
    assert target_span(made()) == (1.0, 100.0)


def test_what_training_never_saw_has_bins_of_its_own() -> None:
    """So a column that was constant, and is another constant now, is noticed."""
    table = pa.table({"floor": [2.0] * 500})
    preprocessing = fit_preprocessing(table, ("floor",), "standard", 64)
    said = profile(table, preprocessing, np.ones(500), np.ones(500), np.ones(500, np.int64))
    then = training(said).features["floor"]
    assert sorted(then.counts) == [0, 0, 500]
    sketcher = Sketcher(said, ("floor",), TargetTransform("identity", 0.0, 1.0), 1)
    batch = pa.RecordBatch.from_pydict({"floor": [3.0] * 500})
    now = sketcher.sketch(batch, np.ones(500), np.ones(500, np.int32)).features["floor"]
    effect = compare(now, then, 1)
    assert effect is not None
    assert effect.ks == 1
    assert effect.psi > 5


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"rows": "many", "features": [], "scores": 7, "images_per_listing": None, "target": "high"},
        {"rows": -4, "features": {"area": {"kind": "number"}}, "scores": {"rows": 3}, "images_per_listing": {"-1": 3}},
        {"rows": 9, "features": {"area": {"kind": "number", "null_share": 0, "edges": [2, 1], "shares": [1, 0, 0]}}},
        {"rows": 9, "features": {"area": {"kind": "date", "null_share": 0, "top": {}, "other_share": 1}}},
        {"rows": 9, "features": {"area": {"kind": "number", "null_share": 1e400, "edges": [], "shares": []}}},
        {"area": {"median": 1.0}, "target": {"quantiles": {"0.0": "low", "1.0": 3}}},
    ],
)
def test_a_profile_that_says_something_else_says_nothing(said: dict[str, Any]) -> None:
    assert training(said) == Distributions()
    assert target_span(said) is None
