import numpy as np
import pytest

from scorer.model.target import TargetTransform
from scorer.run.sketch import Sketcher
from tests.output.gates.market import FEATURES, images, listings, scores, sketcher, trained


def test_a_bundle_without_a_profile_still_gives_bins_for_scores_and_images() -> None:
    rng = np.random.default_rng(0)
    table, used = listings(rng, 1000), images(rng, 1000)
    bare = Sketcher({}, FEATURES, TargetTransform("identity", 200.0, 50.0), 6)
    found = bare.sketch(table.combine_chunks().to_batches()[0], rng.normal(200, 50, 1000), used)
    assert found.features == {}
    assert len(found.scores.histogram.counts) == 20
    assert min(found.scores.histogram.counts) > 20
    assert (found.scores.low, found.scores.below) == (None, 0)
    assert found.images.counts == tuple(np.bincount(used, minlength=7).tolist())


def test_the_range_is_widened_where_the_network_learns() -> None:
    """Targets from 100 to 10,000 under a logarithm: half of their two decades on either side."""
    profile = {"target": {"quantiles": {"0.0": 100.0, "1.0": 10_000.0}}}
    bare = Sketcher(profile, (), TargetTransform("log", 7.0, 1.3), 6)
    batch = listings(np.random.default_rng(0), 3).combine_chunks().to_batches()[0]
    found = bare.sketch(batch, np.array([5.0, 5_000.0, 200_000.0]), np.zeros(3, np.int32)).scores
    assert found.low == pytest.approx(10.0)
    assert found.high == pytest.approx(100_000.0)
    assert (found.below, found.above) == (1, 1)


def test_columns_come_in_any_type_that_their_feature_accepts() -> None:
    rng = np.random.default_rng(3)
    table = listings(rng, 100)
    plain = table.combine_chunks().to_batches()[0]
    other = table.set_column(5, "city", table.column("city").dictionary_encode())
    other = other.set_column(2, "year", table.column("year").cast("float")).combine_chunks().to_batches()[0]
    said, used = scores(table, rng), images(rng, 100)
    assert sketcher().sketch(other, said, used) == sketcher().sketch(plain, said, used)
    assert trained()["features"]["city"]["kind"] == "category"
