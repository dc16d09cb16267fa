"""Linear scores of images as nets learn: numbers by ridge regression, logits by one step of Newton's method."""

from dataclasses import replace

import numpy as np

from scorer.model.linear import LinearScore
from scorer.training.classes import frequencies, probabilities
from scorer.training.images import Embeddings
from scorer.training.objective import HUBER_LOSS, Floats, Goal
from scorer.training.ridge import FoldScores, Slots, fit_scores, mean_embeddings, with_beside
from scorer.training.split import Rows

SLOPES = np.logspace(-1.5, 1.5, 61)
"""How far the step may go, in units of its own length."""

LEAST_CURVATURE = 1e-3


def fit_opinion(values: Embeddings, slots: Slots, goal: Goal, folds: Rows, beside: Floats | None = None) -> FoldScores:
    """A linear score of mean embeddings and of the scores beside them, whole and without each fold.

    Of classes the logarithm of the likelihood is a parabola near the logits beside (without: those of the classes'
    frequencies). Its top is what ridge regression finds for a goal that lies (happened - probability) / curvature
    beyond them; how far to go that way is found out of fold.

    Args:
        values: float32 [slots, D].
        slots: int32 [m, K] of the rows to learn from.
        goal: of the same rows.
        folds: int64 [m], -1: never held out.
        beside: float64 [m, O], finite: the scores of the numbers.
    """
    if not goal.objective.classes:
        return fit_scores(values, slots, goal, folds, beside)
    constant = frequencies(goal.values, goal.counts)
    start = np.tile(constant, (len(goal), 1)) if beside is None else beside
    left = unexplained(goal, start)
    step = fit_scores(values, slots, replace(left, values=start + left.values), folds, beside)
    begin = _begin(step.whole, constant if beside is None else None)
    rows = np.flatnonzero((slots >= 0).any(axis=1) & (folds >= 0))
    told = step.out_of_fold(
        with_beside(mean_embeddings(values, slots[rows]), None if beside is None else beside[rows]), folds[rows]
    )
    there, known = start[rows], goal.take(rows)
    losses = [known.mean_losses(there + slope * (told - there)).sum() for slope in SLOPES] if len(rows) else [0.0]
    slope = float(SLOPES[int(np.argmin(losses))]) if len(rows) else 1.0
    return FoldScores(
        _stretched(begin, step.whole, slope),
        {fold: _stretched(begin, score, slope) for fold, score in step.of_fold.items()},
    )


def unexplained(goal: Goal, told: Floats) -> Goal:
    """What scores float64 [m, O] leave to be learned, as numbers."""
    if not goal.objective.classes:
        return replace(goal, values=goal.values - told)
    said = probabilities(told)
    curvature = np.average(said * (1 - said), axis=0, weights=goal.counts)  # of each output; 0 where it is sure of all
    return replace(goal, values=(goal.values - said) / np.maximum(curvature, LEAST_CURVATURE), objective=HUBER_LOSS)


def _begin(score: LinearScore, constant: Floats | None) -> LinearScore:
    """The score that is what stands beside, or is constant."""
    outputs = len(score.bias)
    weights = np.zeros_like(score.weights)
    if constant is not None:
        return LinearScore(weights, constant)
    weights[-outputs:] = np.eye(outputs)
    return LinearScore(weights, np.zeros(outputs))


def _stretched(begin: LinearScore, score: LinearScore, slope: float) -> LinearScore:
    return LinearScore(
        begin.weights + slope * (score.weights - begin.weights), begin.bias + slope * (score.bias - begin.bias)
    )
