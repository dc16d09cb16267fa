"""From the network's outputs to what readers are told: ends that hold the prediction, probabilities, refusals."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scorer.model.calibration import Calibration, of_classes, positive
from scorer.model.intervals import Band, Intervals
from scorer.model.readout import Readout, Target, effect, ends, read_out
from scorer.model.target import TargetTransform

TARGET = TargetTransform("log", 12.0, 0.5)
TEMPERATURE = Calibration(method="temperature", temperature=2.0)
ISOTONIC = Calibration(method="isotonic", logits=(-1.0, 0.0, 2.0), probabilities=(0.1, 0.1, 0.9))

Floats = npt.NDArray[np.float64]


def band(images: bool | None = None, segment: str | None = None, by: float = 1.0) -> Band:
    return Band(images=images, segment=segment, low=-by, high=by, n=100, coverage=0.9)


def intervals(*bands: Band, by: str | None = None) -> Intervals:
    return Intervals(level=0.9, by=by, bands=bands)


def widths(made: Intervals, images: list[bool], segments: list[str | None] | None = None) -> list[float]:
    low, high = made.ends(np.zeros(len(images)), np.array(images, np.bool_), segments)
    np.testing.assert_array_equal(low, -high)
    return [float(end) for end in high]


# --- intervals


@given(
    outputs=st.lists(st.floats(-1e6, 1e6, width=32) | st.just(float("nan")), min_size=1, max_size=20),
    low=st.floats(-1e3, 0.0),
    high=st.floats(0.0, 1e3),
    kind=st.sampled_from(["identity", "log"]),
    scale=st.floats(1e-3, 1e3),
)
def test_an_interval_holds_its_prediction_to_the_last_bit_or_is_not_there(
    outputs: list[float], low: float, high: float, kind: Any, scale: float
) -> None:
    made = Intervals(level=0.9, bands=(Band(images=None, segment=None, low=low, high=high, n=9, coverage=None),))
    readout, targets = Readout(intervals={"prediction": made}), {"prediction": TargetTransform(kind, 3.0, scale)}
    raw = {"prediction": np.array(outputs)}
    scores = read_out(readout, targets, raw).scores["prediction"]
    lower, upper = ends(readout, targets, raw, np.ones(len(outputs), np.bool_), {})["prediction"]
    there = np.isfinite(lower)
    np.testing.assert_array_equal(there, np.isfinite(upper))
    assert (lower[there] <= scores[there]).all()
    assert (scores[there] <= upper[there]).all()


def test_the_most_specific_band_counts_and_images_come_before_segments() -> None:
    made = intervals(
        band(by=1.0),
        band(images=False, by=2.0),
        band(segment="Lyon", by=3.0),
        band(images=True, segment="Lyon", by=4.0),
        by="city",
    )
    assert widths(made, [True, True, False, False, True], ["Lyon", "Porto", "Lyon", None, None]) == [4, 1, 2, 2, 1]


def test_where_the_column_of_the_segments_is_absent_the_bands_of_all_count() -> None:
    made = intervals(band(by=1.0), band(segment="Lyon", by=3.0), by="city")
    assert widths(made, [True, False]) == [1, 1]


def test_a_listing_that_no_band_is_for_has_no_interval() -> None:
    assert widths(intervals(band(images=True)), [True, False])[0] == 1
    assert np.isnan(widths(intervals(band(images=True)), [True, False])[1])


def test_no_listings_have_no_ends() -> None:
    assert widths(intervals(band()), []) == []


@pytest.mark.parametrize(
    "bands",
    [(), (band(), band()), (band(segment="Lyon"),)],
    ids=["none", "twice", "a segment without a column"],
)
def test_bands_that_leave_a_doubt_are_refused(bands: tuple[Band, ...]) -> None:
    with pytest.raises(ValidationError):
        intervals(*bands)


@pytest.mark.parametrize("change", [{"low": 0.1}, {"high": -0.1}, {"high": float("inf")}, {"coverage": 1.1}, {"n": -1}])
def test_a_band_that_would_leave_its_prediction_out_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Band.model_validate(band().model_dump() | change)


# --- probabilities


def test_temperature_moves_probabilities_towards_the_middle_and_none_across_it() -> None:
    logits = np.array([-800.0, -2.0, 0.0, 2.0, 800.0])
    plain, calm = positive(logits, None), positive(logits, TEMPERATURE)
    np.testing.assert_allclose(plain, 1 / (1 + np.exp(-np.clip(logits, -700, 700))), atol=1e-300)
    np.testing.assert_allclose(calm, positive(logits / 2, None))
    assert (np.diff(calm) > 0).all()


def test_isotonic_calibration_runs_straight_between_its_knots_and_flat_beyond() -> None:
    logits = np.array([-50.0, -1.0, -0.5, 1.0, 2.0, 50.0])
    np.testing.assert_allclose(positive(logits, ISOTONIC), [0.1, 0.1, 0.1, 0.5, 0.9, 0.9])


def test_a_logit_that_is_not_finite_has_no_probability() -> None:
    for calibration in (None, TEMPERATURE, ISOTONIC):
        assert np.isnan(positive(np.array([np.nan, np.inf, -np.inf]), calibration)).all()
    assert np.isnan(of_classes(np.array([[0.0, np.nan], [np.inf, 0.0]]), None)).all()


@given(st.lists(st.tuples(*[st.floats(-1e5, 1e5)] * 3), min_size=1, max_size=9))
def test_the_probabilities_of_several_classes_are_of_sum_one(rows: list[tuple[float, float, float]]) -> None:
    for calibration in (None, TEMPERATURE):
        found = of_classes(np.array(rows), calibration)
        np.testing.assert_allclose(found.sum(axis=1), 1.0)
        assert (found >= 0).all()


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.0},
        {"temperature": float("inf")},
        {"method": "temperature"},
        {"logits": (-1.0, 0.0)},
        {"logits": (0.0, 0.0, 1.0)},
        {"probabilities": (0.5, 0.4, 0.9)},
        {"probabilities": (0.5, 0.6, 1.1)},
        {"logits": (), "probabilities": ()},
    ],
)
def test_a_calibration_that_is_no_rising_curve_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Calibration.model_validate(ISOTONIC.model_dump() | change)


# --- what is told


def test_of_two_classes_the_probability_of_the_second_is_told_and_the_class_from_a_half_on() -> None:
    readout = Readout(task="binary", classes=("stays", "sells"))
    told = read_out(readout, {}, {"prediction": np.array([-1.0, 0.0, 1.0])})
    np.testing.assert_allclose(told.scores["prediction"], 1 / (1 + np.exp([1.0, 0.0, -1.0])))
    assert told.chosen is not None
    assert [readout.classes[at] for at in told.chosen] == ["stays", "sells", "sells"]


def test_of_several_classes_the_most_probable_is_told_with_the_probability_of_each() -> None:
    readout = Readout(task="multiclass", classes=("flat", "house", "plot"))
    raw = {name: np.log([share, other]) for name, share, other in (("a", 0.2, 0.6), ("b", 0.5, 0.1), ("c", 0.3, 0.3))}
    told = read_out(readout, {}, raw)
    assert told.chosen is not None
    assert told.chosen.tolist() == [1, 0]
    np.testing.assert_allclose(told.scores["prediction"], [0.5, 0.6])
    np.testing.assert_allclose(told.scores["c"], [0.3, 0.3])


def test_the_images_effect_on_several_classes_is_that_on_the_probability_of_the_class_that_is_told() -> None:
    readout = Readout(task="multiclass", classes=("flat", "house"))
    with_images = read_out(readout, {}, {"a": np.log([0.3]), "b": np.log([0.7])})
    without = read_out(readout, {}, {"a": np.log([0.8]), "b": np.log([0.2])})
    np.testing.assert_allclose(effect(readout, with_images, without), [0.7 - 0.2])


def test_an_output_with_a_target_of_its_own_is_told_in_its_own_unit() -> None:
    readout = Readout(intervals={"rent": intervals(band())})
    targets = {"prediction": TARGET, "rent": TargetTransform("identity", 900.0, 100.0)}
    raw = {"prediction": np.array([1.0]), "rent": np.array([2.0])}
    assert read_out(readout, targets, raw).scores["rent"].tolist() == [1100.0]
    low, high = ends(readout, targets, raw, np.array([True]), {})["rent"]
    assert (low.tolist(), high.tolist()) == ([1000.0], [1200.0])
    assert readout.columns(("prediction", "rent")) == ("prediction", "rent", "rent_low", "rent_high")


PLAIN = Target(column="rent", transform={}, sd=1.0)


@pytest.mark.parametrize(
    ("readout", "outputs", "said"),
    [
        (Readout(classes=("a",)), ("prediction",), "classes and calibration"),
        (Readout(calibration=TEMPERATURE), ("prediction",), "classes and calibration"),
        (Readout(task="binary", classes=("a", "a")), ("prediction",), "two classes"),
        (Readout(task="binary", classes=("a", "b")), ("prediction", "rent"), "one output"),
        (Readout(task="multiclass", classes=("a", "b")), ("x", "y", "z"), "a class for each"),
        (Readout(task="multiclass", classes=("a", "b")), ("prediction", "y"), "not the readout's to give"),
        (Readout(task="multiclass", classes=("a", "b"), calibration=ISOTONIC), ("x", "y"), "isotonic"),
        (Readout(), ("rent",), "prediction is missing"),
        (Readout(further={"rent": PLAIN}), ("prediction",), "rent is not among"),
        (Readout(intervals={"rent": intervals(band())}), ("prediction",), "rent is not among"),
        (
            Readout(task="binary", classes=("a", "b"), intervals={"prediction": intervals(band())}),
            ("prediction",),
            "belong to regression",
        ),
        (Readout(), ("prediction", "low"), "another column"),
        (Readout(), ("prediction", "class"), "another column"),
        (Readout(), ("prediction", "rent", "rent"), "another column"),
        (
            Readout(intervals={"rent": intervals(band())}),
            ("prediction", "rent", "rent_low"),
            "another column",
        ),
    ],
)
def test_a_readout_that_does_not_fit_its_outputs_says_why(
    readout: Readout, outputs: tuple[str, ...], said: str
) -> None:
    assert [problem for problem in readout.problems(outputs) if said in problem]


@pytest.mark.parametrize(
    ("readout", "outputs"),
    [
        (Readout(), ("prediction",)),
        (Readout(further={"rent": PLAIN}), ("prediction", "rent")),
        (Readout(task="binary", classes=("a", "b"), calibration=ISOTONIC), ("prediction",)),
        (Readout(task="multiclass", classes=("a", "b"), calibration=TEMPERATURE), ("p_a", "p_b")),
    ],
)
def test_a_readout_that_fits_has_no_problems(readout: Readout, outputs: tuple[str, ...]) -> None:
    assert list(readout.problems(outputs)) == []
