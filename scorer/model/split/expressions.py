"""What is computed from one image alone, as a table of calls in which equal ones stand once.

Two images that go through the same layers with the same weights are the same function of an image; the table finds that
out by keys: the layer itself where it has weights, its class and configuration where it has none.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from scorer.model.split.rules import Run

PLAIN = (str, int, float, bool, slice, type(None), type(Ellipsis))


@dataclass(frozen=True)
class Part:
    """Stands in arguments for something that was computed from the image."""

    number: int


@dataclass(frozen=True)
class _Call:
    run: Run
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    needs: tuple[int, ...]
    weighted: bool


@dataclass(frozen=True)
class _Leaf:
    stacked: bool
    dtype: str


class Expressions:
    """The functions of one image that a model computes."""

    def __init__(self) -> None:
        self._keys: dict[Hashable, int] = {}
        self._parts: list[_Leaf | tuple[int, int]] = []
        self._calls: list[_Call] = []
        self._objects: list[Any] = []

    def leaf(self, stacked: bool, dtype: str) -> int:
        """The image itself, as the model takes it: [B, S, S, 3], or [B, 1, S, S, 3]."""
        number: int = self._once(("leaf", stacked, dtype), lambda: self._part(_Leaf(stacked, dtype)))
        return number

    def learned(self, parts: Sequence[int]) -> bool:
        """Whether anything with weights takes part in computing them."""
        found = (self._parts[number] for number in self._needed(parts))
        return any(self._calls[part[0]].weighted for part in found if not isinstance(part, _Leaf))

    def apply(
        self,
        operation: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        outputs: int,
        run: Run | None,
        key: Hashable = None,
    ) -> tuple[int, ...]:
        """The outputs of a call.

        Args:
            operation: a layer or an operation of Keras.
            args: with a `Part` for each tensor.
            kwargs: likewise.
            outputs: how many there are.
            run: what computes them in the operation's place; None: the operation.
            key: what that is, where it does not depend on the arguments that are no parts.
        """
        leaves = keras.tree.flatten((args, kwargs))
        if key is not None:
            key = (key, *(leaf for leaf in leaves if isinstance(leaf, Part)))
        else:
            structure = repr(keras.tree.map_structure(lambda _: 0, (args, kwargs)))
            key = (self._identity(operation), structure, tuple(map(self._leaf_key, leaves)), outputs)

        def add() -> tuple[int, ...]:
            needs = tuple(leaf.number for leaf in leaves if isinstance(leaf, Part))
            weighted = bool(getattr(operation, "weights", ()))
            self._calls.append(_Call(run or called(operation), args, kwargs, needs, weighted))
            return tuple(self._part((len(self._calls) - 1, place)) for place in range(outputs))

        found: tuple[int, ...] = self._once(key, add)
        return found

    def evaluate(self, wanted: Sequence[int], image: Callable[[bool, str], tf.Tensor]) -> list[tf.Tensor]:
        """Compute parts.

        Args:
            wanted: which.
            image: the image as a leaf wants it: stacked or not, of which type.
        """
        needed = self._needed(wanted)
        values: dict[int, Any] = {}
        results: dict[int, list[Any]] = {}
        for number in sorted(needed):  # what a call takes has a smaller number
            part = self._parts[number]
            if isinstance(part, _Leaf):
                values[number] = image(part.stacked, part.dtype)
                continue
            call, place = part
            if call not in results:
                results[call] = self._run(self._calls[call], values)
            values[number] = results[call][place]
        return [values[number] for number in wanted]

    def _run(self, call: _Call, values: Mapping[int, Any]) -> list[Any]:
        args, kwargs = keras.tree.map_structure(
            lambda leaf: values[leaf.number] if isinstance(leaf, Part) else leaf, (call.args, dict(call.kwargs))
        )
        return list(keras.tree.flatten(call.run(*args, **kwargs)))

    def _needed(self, wanted: Sequence[int]) -> set[int]:
        needed: set[int] = set()
        waiting = list(wanted)
        while waiting:
            number = waiting.pop()
            if number not in needed:
                needed.add(number)
                part = self._parts[number]
                if not isinstance(part, _Leaf):
                    waiting.extend(self._calls[part[0]].needs)
        return needed

    def _part(self, part: _Leaf | tuple[int, int]) -> int:
        self._parts.append(part)
        return len(self._parts) - 1

    def _once(self, key: Hashable, add: Callable[[], Any]) -> Any:
        if key not in self._keys:
            self._keys[key] = add()
        return self._keys[key]

    def _leaf_key(self, leaf: Any) -> Hashable:
        if isinstance(leaf, Part):
            return leaf
        return (type(leaf).__name__, repr(leaf)) if isinstance(leaf, PLAIN) else self._object(leaf)

    def _identity(self, operation: Any) -> Hashable:
        if getattr(operation, "variables", ()) or isinstance(operation, keras.Model):
            return self._object(operation)
        try:
            config = {name: value for name, value in operation.get_config().items() if name != "name"}
        except NotImplementedError:  # an operation whose arguments Keras cannot write down
            return self._object(operation)
        return type(operation).__module__, type(operation).__qualname__, repr(sorted(config.items()))

    def _object(self, value: Any) -> Hashable:
        self._objects.append(value)  # an id may be given again once its owner is gone
        return "object", id(value)


def called(operation: Any) -> Run:
    """The operation as it predicts: layers that know a training mode are told that this is none."""
    if isinstance(operation, keras.Layer) and operation._call_has_training_arg:

        def run(*args: Any, **kwargs: Any) -> Any:
            return operation(*args, **{**kwargs, "training": False})

        return run
    return lambda *args, **kwargs: operation(*args, **kwargs)
