"""Which fusion: each is tried by cross-validation on the listings that are learned from."""

from dataclasses import replace

from scorer.model.fusions import FUSIONS
from scorer.training.crossval import Crossed, CrossValidation, Scheme, choice_words
from scorer.training.prepare import Data
from scorer.training.ways import Nets, Progress, compare_ways


def choose_fusion(data: Data, scheme: Scheme | None, progress: Progress) -> tuple[Data, tuple[Crossed, ...]]:
    """Try every fusion on the same folds, where there is a choice.

    Args:
        data: its design's fusion, the recipe's own, is kept unless another one is clearly better.
        scheme: of the rows to learn from; the test listings have no part in the choice. None: the fusion is given.
        progress: gets a line per fold.

    Returns:
        The data with the fusion that was chosen, and why.
    """
    if scheme is None:
        return data, ()
    nets = Nets(data)
    ways = {name: nets.by_fusion(name) for name in FUSIONS}
    found = compare_ways(data, ways, list(ways), scheme, progress)
    fusion, why = best_fusion(found, data.design.fusion)
    words = f"{choice_words(found)} {why}"
    progress(words)
    return replace(data, design=replace(data.design, fusion=fusion)), (Crossed("Fusions", found, words),)


def best_fusion(found: CrossValidation, own: str) -> tuple[str, str]:
    """The best, but the recipe's own where no other is clearly better: a difference within noise is no reason.

    Args:
        found: its `ours` is the one with the least error.
        own: the recipe's.

    Returns:
        Its name, and why.
    """
    if found.ours == own:
        return own, f"{own}, the recipe's own, was taken."
    if found.against(own).low <= 0:
        return own, f"{own}, the recipe's own, was taken, since the best is not clearly better."
    return found.ours, f"{found.ours} was taken: it is clearly better than {own}, the recipe's own."
