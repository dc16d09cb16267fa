"""What a fitted model tells beside its scores: intervals that hold, and a correction that is part of its target."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scorer.errors import SettingsError
from scorer.model.readout import Readout
from scorer.training.fitted import FittedNet
from scorer.training.procedure import fit_fused
from scorer.training.told import corrected, held, in_words, readout_of
from tests.training.test_procedure import KNOWN, TEST, data, tiny_recipes

__all__ = ["tiny_recipes"]


def fitted(folder: Path, **settings: object) -> FittedNet:
    return fit_fused(data(folder, "frozen", **settings), KNOWN, 1)


def test_listings_with_and_without_images_have_intervals_from_what_no_net_had_seen(tmp_path: Path) -> None:
    fused = fitted(tmp_path)
    readout = readout_of(fused)
    bands = {band.images: band for band in readout.intervals["prediction"].bands}
    with_images = int((fused.data.examples.images[KNOWN] >= 0).any(axis=1).sum())
    assert bands[True].n == with_images
    assert (bands[False].n, bands[False].images_taken_away) == (len(KNOWN), True)
    assert bands[False].high > bands[True].high, "in these data the images matter"
    on_test = held(fused, readout, TEST)
    assert on_test is not None
    assert 0.75 <= on_test <= 1.0
    assert f"On the test listings: {on_test:.1%}." in in_words(readout, on_test)


def test_listings_without_an_interval_are_no_misses(tmp_path: Path) -> None:
    fused = fitted(tmp_path)
    intervals = readout_of(fused).intervals["prediction"]
    bare = intervals.model_copy(update={"bands": tuple(band for band in intervals.bands if not band.images)})
    some = held(fused, Readout(intervals={"prediction": bare}), TEST)
    has_images = (fused.data.examples.images[TEST] >= 0).any(axis=1)
    assert 0 < has_images.sum() < len(TEST)
    assert some == held(fused, Readout(intervals={"prediction": bare}), TEST[~has_images])
    assert held(fused, Readout(intervals={"prediction": bare}), TEST[has_images]) is None


def test_intervals_follow_the_setting_or_are_not_there(tmp_path: Path) -> None:
    narrow = readout_of(fitted(tmp_path, interval=0.5)).intervals["prediction"]
    wide = readout_of(fitted(tmp_path, interval=0.95)).intervals["prediction"]
    assert narrow.bands[0].high < wide.bands[0].high
    assert readout_of(fitted(tmp_path, interval=0.0)).intervals == {}
    with pytest.raises(SettingsError, match="interval_by: 'area' is no boolean or text feature"):
        readout_of(fitted(tmp_path, interval_by="area"))


def test_a_correction_is_part_of_the_target_and_intervals_lie_around_what_it_tells(tmp_path: Path) -> None:
    plain = fitted(tmp_path)
    job = plain.data.job.model_copy(update={"correction": "smearing"})
    smeared = corrected(replace(plain, data=replace(plain.data, job=job)))
    np.testing.assert_array_equal(plain.predict(TEST), smeared.predict(TEST))
    factor = smeared.target.inverse([0.0]) / plain.target.inverse([0.0])
    assert factor > 1.0
    actual = plain.data.examples.target[KNOWN]
    told = smeared.target.inverse(smeared.out_of_fold[:, 0])
    known = np.isfinite(told)
    assert (actual / told)[known].mean() == pytest.approx(1.0)
    on_test = held(smeared, readout_of(smeared), TEST)
    assert on_test is not None
    assert on_test >= 0.75
