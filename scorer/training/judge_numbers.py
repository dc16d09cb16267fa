"""How good predicted numbers are on listings that nothing was fitted on: figures, words and the card."""

from typing import Any

from scorer.model.readout import MAIN, Readout
from scorer.training.assess import Assessment, assess_output
from scorer.training.card.build import card_files, summary
from scorer.training.card.make import card_of, section_of
from scorer.training.fitted import FittedNet
from scorer.training.judge_classes import Judged
from scorer.training.split import Rows
from scorer.training.told import below, held, in_words, share_in_words


def judge_numbers(fused: FittedNet, test: Rows, assessment: Assessment, readout: Readout) -> Judged:
    """What is known of a model and of each of its outputs.

    Args:
        fused: the model.
        test: int64, listings that it has not seen.
        assessment: of its first output, beside others.
        readout: how its outputs are read.
    """
    outputs = {name: fused.of(name) for name in fused.prepared.further}
    further = {name: assess_output(one, test) for name, one in outputs.items()}
    sections = tuple(section_of(one, test, further[name], readout) for name, one in outputs.items())
    card = card_of(fused.of(MAIN), test, assessment, readout, sections)
    metrics, text = _told(fused.of(MAIN), test, assessment, readout)
    own = {name: _told(one, test, further[name], readout) for name, one in outputs.items()}
    if own:
        metrics["further"] = {name: figures for name, (figures, _) in own.items()}
        texts = {fused.data.job.target: text, **{name: said for name, (_, said) in own.items()}}
        text = "\n\n".join(f"{name}:\n\n{said}" for name, said in texts.items())
    return Judged(metrics | {"card": summary(card)}, text, card_files(card))


def _told(one: FittedNet, test: Rows, assessment: Assessment, readout: Readout) -> tuple[dict[str, Any], str]:
    """Of one output: plain JSON for the bundle, and words for people."""
    on_test = held(one, readout, test)
    metrics = assessment.to_plain() | {"in_their_interval": on_test}
    if one.data.job.quantile is not None:
        metrics["at_or_below"] = below(one, test)
    said = (assessment.text, share_in_words(one.data.job, metrics), in_words(readout, on_test, one.output))
    return metrics, "\n".join(part for part in said if part)
