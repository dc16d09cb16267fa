"""Targets that name something: which classes there are, what nets make small of them, and logits to begin with."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from keras import ops

from scorer.errors import ContractError
from scorer.model.calibration import of_classes, positive
from scorer.model.fused import OUTPUT
from scorer.model.preprocessing import as_text, kind_of, plain

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

MOST = 100
"""Classes of a target. Each is a column of the predictions; a column with more values rather names listings."""


def names_classes(column: pa.ChunkedArray, task: str) -> bool:
    """Whether a target is learned as classes: as the setting says, else text and booleans are."""
    return task == "classification" or (task == "auto" and kind_of(column.type) in ("boolean", "category"))


def read_classes(column: pa.ChunkedArray, name: str) -> tuple[Floats, tuple[str, ...]]:
    """The place of each row's class among the names, float64 [n], and the names in their order.

    Raises:
        ContractError: the column can name no classes, or names fewer than two, too many, or one that cannot be told.
    """
    values = column.combine_chunks()
    kind = kind_of(values.type)
    if kind is None or pa.types.is_floating(plain(values).type) or pa.types.is_decimal(plain(values).type):
        raise ContractError(
            f"The target {name!r} is {values.type}; classes are named by text, booleans or whole numbers."
            " Nothing was trained."
        )
    texts = pc.cast(plain(values), pa.string()) if kind == "boolean" else as_text(values)
    if texts.null_count:
        raise ContractError(
            f"The target {name!r} has whole numbers beyond 2^53 in {texts.null_count:,} rows; these name no classes:"
            " make them text. Nothing was trained."
        )
    names = sorted(texts.unique().to_pylist(), key=lambda text: (int(text), text) if kind == "number" else (0, text))
    if not 2 <= len(names) <= MOST:
        raise ContractError(
            f"The target {name!r} names {len(names):,} classes; 2 to {MOST} can be learned. Nothing was trained."
        )
    if wrong := [text for text in names if not text.isprintable() or not 0 < len(text) <= 500]:
        raise ContractError(
            f"The target {name!r} names a class {wrong[0][:50]!r}; a name has 1 to 500 printable characters."
            " Nothing was trained."
        )
    codes = pc.index_in(texts, value_set=pa.array(names, pa.string()))
    return codes.cast(pa.float64()).to_numpy(zero_copy_only=False), tuple(names)


def outputs_of(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the head's outputs: one for a number or two classes, else one for each class."""
    if len(classes) <= 2:
        return (OUTPUT,)
    found: list[str] = []
    for name in classes:
        plain_name = "p_" + (re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:80] or "class")
        taken = [f"{plain_name}_{number}" for number in range(2, len(classes) + 2)]
        found.append(next(free for free in (plain_name, *taken) if free not in found))
    return tuple(found)


def as_goal(codes: Floats, classes: int) -> Floats:
    """What nets are to say, 0 or 1: float64 [n, 1] of two classes, [n, classes] of more."""
    hot: Floats = (codes[:, None] == np.arange(classes)).astype(np.float64)
    return hot[:, 1:] if classes == 2 else hot


def cross_entropy(scores: Any, goal: Any) -> Any:
    """-log(probability of the class that it was) of logits [..., O] and a goal of the same shape: [..., 1]."""
    if scores.shape[-1] == 1:
        # Without overflow: log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)).
        return ops.maximum(scores, 0.0) - scores * goal + ops.log1p(ops.exp(-ops.abs(scores)))
    return ops.logsumexp(scores, axis=-1, keepdims=True) - ops.sum(goal * scores, axis=-1, keepdims=True)


def probabilities(logits: Floats) -> Floats:
    """Of each output, float64 [n, O]: of two classes that of the second."""
    return positive(logits, None) if logits.shape[1] == 1 else of_classes(logits, None)


def frequencies(goal: Floats, weights: Floats) -> Floats:
    """Logits that say what is most often so: float64 [O]; a class counts half a listing more, so that none is sure."""
    counts = (goal * weights[:, None]).sum(axis=0) + 0.5
    if goal.shape[1] > 1:
        return np.asarray(np.log(counts), np.float64)
    return np.asarray(np.log(counts / (weights.sum() + 1.0 - counts)), np.float64)


def balance(goal: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weights float64 [n] by which all classes count alike, and what they add to every logit, float64 [O].

    A net that is fitted with them tells odds that are multiplied by the weights of the classes; less their logarithms,
    it tells those of the listings as they come.
    """
    hot = np.concatenate([1 - goal, goal], axis=1) if goal.shape[1] == 1 else goal
    counts = (hot * weights[:, None]).sum(axis=0)
    of_class = counts.sum() / (len(counts) * np.maximum(counts, 1.0))
    logs = np.log(of_class)
    return weights * (hot @ of_class), logs[1:] - logs[:1] if goal.shape[1] == 1 else logs
