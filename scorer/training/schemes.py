"""How listings are divided for a cross-validation: whole groups to folds, by lot or walking forward in time."""

from dataclasses import dataclass

import numpy as np

from scorer.errors import InputError
from scorer.pages.words import plural
from scorer.settings import TrainJob
from scorer.training.crossval import Scheme
from scorer.training.examples import Examples
from scorer.training.recipes import EVERY
from scorer.training.split import Fold, Rows, group_folds, time_folds

USUAL = "5x1"
"""Folds x repetitions by which a fusion is chosen, where the job names none."""


@dataclass(frozen=True)
class Schemes:
    """What is cross-validated in a training.

    Attributes:
        choosing: of the listings that are learned from, where the fusion is to be chosen; None where it is given.
        judging: of all listings; None where nobody wishes for it.
    """

    choosing: Scheme | None
    judging: Scheme | None

    @classmethod
    def of(cls, job: TrainJob, examples: Examples, known: Rows) -> "Schemes":
        """As the job wishes; `known` are the rows to learn from. Raises InputError as `scheme_of` does."""
        wanted = job.cross_validate
        return cls(
            choosing=scheme_of(wanted or USUAL, examples, known, job.seed) if job.fusion == EVERY else None,
            judging=scheme_of(wanted, examples, np.arange(len(examples)), job.seed) if wanted else None,
        )


def scheme_of(wanted: str, examples: Examples, rows: Rows, seed: int) -> Scheme:
    """Folds of some of the listings.

    Args:
        wanted: folds x repetitions, as `cross_validate` names them.
        examples: the listings.
        rows: int64 [m], ascending: those to divide.
        seed: of the first repetition's folds.

    Raises:
        InputError: there are fewer groups, or moments, than folds.
    """
    folds, repeats = map(int, wanted.split("x"))
    divided = [_divided(examples, rows, folds, seed + turn) for turn in range(repeats)]
    if any(len(turn) < folds or not all(len(held_out) for _, held_out in turn) for turn in divided):
        raise InputError(
            f"cross_validate: {plural(len(rows), 'listing')} in {plural(_units(examples, rows), 'part')} that must not"
            f" be divided do not fill {folds} folds. Nothing was trained. Ask for fewer folds, or give more listings."
        )
    return Scheme(tuple(tuple(turn) for turn in divided), _words(folds, repeats, examples.times is not None))


def _divided(examples: Examples, rows: Rows, folds: int, seed: int) -> list[Fold]:
    groups = examples.groups[rows]
    if examples.times is None:
        found = group_folds(groups, folds, seed)
    else:
        found = time_folds(groups, examples.times[rows], folds)
    return [(rows[known], rows[held_out]) for known, held_out in found]


def _units(examples: Examples, rows: Rows) -> int:
    return len(np.unique(examples.groups[rows] if examples.times is None else examples.times[rows]))


def _words(folds: int, repeats: int, in_time: bool) -> str:
    again = {1: "once", 2: "twice"}.get(repeats, f"{repeats} times")
    if in_time:
        return f"{folds} folds walking forward, each learning from all that was earlier; {again}, by other seeds"
    return f"{folds} folds of whole groups, dealt out {again}"
