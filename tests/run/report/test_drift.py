"""A run beside the training and the last run, in the same bins."""

import numpy as np
import pytest

from scorer.output.distribution import Distribution, Distributions, ScoreDistribution
from scorer.pages.plots import Histogram, Shares, between, ceiling
from scorer.run.report.drift import MOST_CLASSES, features, scores

EDGES = (10.0, 20.0, 30.0)


def numbers(*counts: int, missing: int = 0) -> Distribution:
    return Distribution(edges=EDGES, counts=counts, missing=missing)


def scored(*counts: int, edges: tuple[float, ...] = EDGES) -> Distributions:
    histogram = Distribution(edges=edges, counts=counts)
    return Distributions(scores=ScoreDistribution(histogram=histogram, mean=1.0, deviation=2.0))


def test_the_feature_that_moved_most_comes_first_with_the_class_that_moved_most() -> None:
    training = Distributions(features={"calm": numbers(250, 250, 250, 250), "odd": numbers(250, 250, 250, 250)})
    now = Distributions(features={"calm": numbers(260, 240, 250, 250), "odd": numbers(10, 240, 250, 500, missing=100)})
    rows, others = features(now, training)
    assert [(row.name, row.word) for row in rows] == [("odd", "moved far"), ("calm", "as in training")]
    assert rows[0].most == ("30 up", 0.5, 0.25)
    assert rows[0].missing == pytest.approx((100 / 1100, 0.0))
    assert others == ()


def test_a_feature_that_cannot_be_compared_is_named_and_not_judged() -> None:
    training = Distributions(features={"other bins": Distribution(edges=(1.0,), counts=(500, 500))})
    now = Distributions(features={"other bins": numbers(9, 9, 9, 9), "unknown": numbers(9, 9, 9, 9)})
    assert features(now, training) == ((), ("other bins", "unknown"))


def test_few_rows_move_far_by_chance_and_are_not_said_to_have_moved() -> None:
    training = Distributions(features={"few": numbers(250, 250, 250, 250)})
    rows, _ = features(Distributions(features={"few": numbers(10, 15, 7, 8)}), training)
    assert rows[0].word == "as in training"


def test_rare_categories_are_drawn_together_and_none_gets_lost() -> None:
    values = tuple(f"city-{number}" for number in range(60))
    counts = (*range(100, 40, -1), 7)
    one = Distribution(kind="category", values=values, counts=counts)
    rows, _ = features(Distributions(features={"city": one}), Distributions(features={"city": one}))
    drawn = rows[0].histogram
    assert len(drawn.classes) == len(drawn.series[0].shares) == MOST_CLASSES
    assert sum(drawn.series[0].shares) == pytest.approx(1.0)
    assert drawn.classes[-1] == "all others"


def test_scores_stand_beside_the_last_run_and_the_training_where_bins_are_the_same() -> None:
    drawn = scores(scored(1, 2, 3, 4), scored(4, 3, 2, 1), scored(25, 25, 25, 25), "ds=1")
    assert drawn.histogram is not None
    assert [(one.kind, one.name) for one in drawn.histogram.series] == [
        ("now", "this run"),
        ("last", "ds=1"),
        ("training", "training"),
    ]
    assert drawn.histogram.series[0].shares == (0.1, 0.2, 0.3, 0.4)
    others = scores(scored(1, 2, 3, 4), scored(4, 3, edges=(7.0,)), Distributions(), "ds=1")
    assert others.histogram is not None
    assert [one.kind for one in others.histogram.series] == ["now"]
    assert others.columns == ("this run", "ds=1")


def test_a_bundle_without_a_profile_leaves_figures_and_no_picture() -> None:
    assert scores(Distributions(), None, Distributions(), "").histogram is None


def test_bars_are_as_high_as_their_share_and_fill_the_width() -> None:
    shares = np.array([0.1, 0.4, 0.3, 0.2])
    drawn = Histogram((Shares("now", "this run", tuple(shares)),), ("a", "b", "c", "d"), ())
    heights = np.array([bar.height for bar in drawn.bars])
    assert heights / heights.sum() == pytest.approx(shares)
    assert all(bar.y + bar.height == pytest.approx(100) for bar in drawn.bars)
    assert drawn.steps(drawn.series[0]).endswith("H100.000")


def test_classes_are_named_by_their_edges() -> None:
    classes, ticks = between((10.0, 2500.0))
    assert classes == ("below 10", "10 to 2,500", "2,500 up")
    assert ticks == ("10", "2,500")
    assert len(between(tuple(float(edge) for edge in range(19)))[1]) == 5


@pytest.mark.parametrize(
    ("value", "top"), [(0.0, 1.0), (0.07, 0.08), (1.0, 1.0), (1.2, 1.5), (999.0, 1000.0), (float("nan"), 1.0)]
)
def test_an_axis_ends_at_a_round_figure_above_what_it_shows(value: float, top: float) -> None:
    assert ceiling(value) == pytest.approx(top)
