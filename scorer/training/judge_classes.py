"""How good probabilities are on listings that nothing was fitted on, beside frequencies and the numbers alone."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from scorer.model.classification import LEAST, Classification, classification
from scorer.training.calibrate import calibrated
from scorer.training.card.classes import class_card, class_card_files
from scorer.training.classes import frequencies
from scorer.training.evaluate import compare_losses
from scorer.training.fitted import FittedNet
from scorer.training.split import Rows
from scorer.training.told import in_words, readout_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """What is known of a model.

    Attributes:
        metrics: plain JSON for the bundle.
        text: for people.
        card: files of the model card.
    """

    metrics: dict[str, Any]
    text: str
    card: Mapping[str, bytes] = field(default_factory=dict)


def judge_classes(fused: FittedNet, test: Rows) -> Judged:
    """Figures of the model, of its numbers alone and of the classes' frequencies, on test listings int64 [n]."""
    assert fused.numbers is not None
    examples = fused.data.examples
    actual, weights = examples.target[test].astype(np.int64), examples.weight(test)
    goal = fused.prepared.goal.take(fused.rows)
    constant = np.tile(frequencies(goal.values, goal.counts), (len(test), 1))
    readout = readout_of(fused)
    models = {
        "constant (frequencies)": calibrated(constant, None),
        "numbers only": calibrated(fused.numbers.raw(test), readout_of(fused.numbers).calibration),
        "numbers and images": calibrated(fused.raw(test), readout.calibration),
    }
    counts = weights if weights.any() else None
    found = {name: classification(actual, told, counts) for name, told in models.items()}
    without, together = (_losses(actual, models[name]) for name in ("numbers only", "numbers and images"))
    comparison = compare_losses("log loss", without, together, examples.groups[test], fused.data.job.seed, weights)
    metrics = {
        "test": {name: _plain(one) for name, one in found.items()},
        "images": {**asdict(comparison), "verdict": comparison.verdict},
    }
    words, told = in_words(readout, None), list(models.values())[-1].argmax(axis=1)
    card = class_card(fused, test, told, found, comparison.verdict, words or "Probabilities are not calibrated.")
    text = "\n".join(part for part in (table(found), comparison.verdict, words) if part)
    return Judged(metrics, text, class_card_files(card))


def table(models: dict[str, Classification]) -> str:
    """What a person reads: one line per model."""
    heads = f"{'log loss':>9}{'accuracy %':>12}{'AUC':>8}{'Brier':>8}{'calibration error':>19}{'n':>8}"
    lines = [f"{'on the test listings':<24}{heads}"]
    for name, one in models.items():
        area = "-" if one.auc is None else f"{one.auc:.3f}"
        lines.append(
            f"{name:<24}{one.log_loss:>9.4f}{100 * one.accuracy:>12.1f}{area:>8}{one.brier:>8.4f}"
            f"{one.calibration_error:>19.4f}{one.n:>8,}"
        )
    return "\n".join([*lines, ""])


def _losses(actual: npt.NDArray[np.int64], told: Floats) -> Floats:
    losses: Floats = -np.log(np.clip(told[np.arange(len(actual)), actual], LEAST, 1.0))
    return losses


def _plain(one: Classification) -> dict[str, Any]:
    """As JSON has it: lists, not tuples."""
    return {**asdict(one), "bins": [asdict(bin) for bin in one.bins]}
