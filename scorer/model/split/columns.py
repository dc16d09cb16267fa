"""A model's outputs as columns, one score a listing each."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from scorer.errors import BundleError, SettingsError

MAIN = "prediction"
NAME = re.compile("[a-z][a-z0-9_]{0,99}")


@dataclass(frozen=True)
class Columns:
    """The scores that a model's outputs hold.

    Attributes:
        names: of the scores, in the order of the outputs; `prediction` among them.
        widths: how many scores each output holds.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]

    @classmethod
    def of(cls, model: Any, names: Sequence[str] = ()) -> "Columns":
        """The columns of a functional model.

        Args:
            model: outputs of shape [B], [B, 1] or [B, n].
            names: of all columns in order; by default the outputs' own, the first of them as `prediction` if none is.

        Raises:
            BundleError: an output is no score or vector of scores.
            SettingsError: the names do not fit.
        """
        widths = tuple(_width(tensor, name) for tensor, name in zip(model.outputs, _own(model), strict=True))
        found = tuple(names) or _default(_own(model), widths)
        wrong = [name for name in found if not NAME.fullmatch(name)]
        if len(found) != sum(widths) or len({*found}) < len(found) or MAIN not in found or wrong:
            raise SettingsError(
                f"The model's outputs ({', '.join(_own(model))}) hold {sum(widths)} scores, the names are"
                f" {', '.join(found)}. There must be one for each, of small letters, digits and _, no two alike, and"
                f" {MAIN!r} among them. No bundle was written."
            )
        return cls(found, widths)

    @property
    def in_order(self) -> tuple[str, ...]:
        """The main score first, as bundles have them."""
        return (MAIN, *(name for name in self.names if name != MAIN))

    def split(self, outputs: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        """float32 [B] by name, from the model's outputs."""
        flat = [
            tf.reshape(tf.cast(output, tf.float32), [-1, width])
            for output, width in zip(outputs, self.widths, strict=True)
        ]
        columns = [values[:, place] for values, width in zip(flat, self.widths, strict=True) for place in range(width)]
        return dict(zip(self.names, columns, strict=True))


def _own(model: Any) -> list[str]:
    """The names of the outputs, in the order of `model.outputs`."""
    if isinstance(model.output, Mapping):
        return sorted(map(str, model.output))
    return [str(tensor._keras_history[0].name) for tensor in model.outputs]


def _default(own: Sequence[str], widths: Sequence[int]) -> tuple[str, ...]:
    found = []
    for name, width in zip(map(_plain, own), widths, strict=True):
        found += [name] if width == 1 else [f"{name}_{place}" for place in range(width)]
    if MAIN not in found:
        found[0] = MAIN
    return tuple(found)


def _plain(name: str) -> str:
    plain = re.sub("[^a-z0-9]+", "_", name.lower()).strip("_") or "output"
    return plain if plain[0].isalpha() else f"output_{plain}"


def _width(tensor: Any, name: str) -> int:
    shape = tuple(tensor.shape)[1:]
    if len(shape) > 1 or None in shape or tensor.dtype == "string":
        raise BundleError(
            f"The output {name!r} is {list(shape)} of {tensor.dtype} a listing; expected a score, or a vector of"
            " scores. No bundle was written."
        )
    return math.prod(shape)
