"""A functional Keras model as a list of steps, and what each of its tensors depends on.

Sub-models are entered where images and numbers, or several images, go in; where only one image goes in they
are one step.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
from keras.src.models.functional import Functional  # the class of every functional model; it has no public name

from scorer.model.split.expressions import Expressions, Part
from scorer.model.split.rules import SKIPPED, Call, Layout, Run, gathered, judge
from scorer.model.split.wiring import ImageInput, Wired


@dataclass(frozen=True)
class Ref:
    """Stands in arguments for a tensor of the walk."""

    value: int


@dataclass(frozen=True)
class Step:
    """One call.

    Attributes:
        operation: a layer or an operation of Keras.
        args: with a `Ref` for each tensor.
        kwargs: likewise.
        inputs: values that it takes.
        outputs: values that it gives.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.operation.name!r} ({type(self.operation).__name__})"


@dataclass(frozen=True)
class Numbers:
    """Depends on no image."""


@dataclass(frozen=True)
class OneImage:
    """Each row (single) or each place of a row (stack, merged) depends on one image alone.

    Attributes:
        layout: see `rules`.
        slots: which of a listing's places it is of, in order.
        part: the function of the image, in the walk's expressions.
    """

    layout: Layout
    slots: tuple[int, ...]
    part: int


@dataclass(frozen=True)
class Mixed:
    """Depends on several images, or on images and numbers."""


Fact = Numbers | OneImage | Mixed


@dataclass
class Walk:
    """What was found on the way through a model.

    Attributes:
        steps: in an order in which they can be computed.
        tensors: by value: shape, type and name.
        facts: by value.
        sources: by value: the names of the inputs that it depends on.
        expressions: what is computed from one image.
        inputs: values of the model's inputs, in their order.
        outputs: values of the model's outputs, in their order.
    """

    wired: Wired
    steps: list[Step] = field(default_factory=list)
    tensors: list[Any] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    sources: list[frozenset[str]] = field(default_factory=list)
    expressions: Expressions = field(default_factory=Expressions)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()

    @classmethod
    def through(cls, model: Any, wired: Wired) -> "Walk":
        """Walk through a functional or sequential model."""
        walk = cls(wired)
        images = {image.index: image for image in wired.images}
        walk.inputs = tuple(walk._input(tensor, images.get(index)) for index, tensor in enumerate(model.inputs))
        walk.outputs = tuple(walk._enter(model, walk.inputs))
        return walk

    def _input(self, tensor: Any, image: ImageInput | None) -> int:
        if image is None:
            return self._value(tensor, Numbers(), frozenset({tensor.name}))
        layout: Layout = "stack" if image.places > 1 else "single"
        fact = OneImage(layout, image.slots, self.expressions.leaf(image.stacked, tensor.dtype))
        return self._value(tensor, fact, frozenset({tensor.name}))

    def _value(self, tensor: Any, fact: Fact, sources: frozenset[str]) -> int:
        self.tensors.append(tensor)
        self.facts.append(fact)
        self.sources.append(sources)
        return len(self.tensors) - 1

    def _enter(self, model: Any, values: Sequence[int]) -> list[int]:
        """Values of a model's outputs, from those of its inputs."""
        known = {id(tensor): value for tensor, value in zip(model.inputs, values, strict=True)}
        for node in nodes(model):
            args, kwargs = node.arguments.convert(
                lambda leaf, known=known: Ref(known[id(leaf)]) if isinstance(leaf, keras.KerasTensor) else leaf
            )
            outputs = self._call(node, args, kwargs)
            known |= {id(tensor): value for tensor, value in zip(node.outputs, outputs, strict=True)}
        return [known[id(tensor)] for tensor in model.outputs]

    def _call(self, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int]:
        inputs = tuple(leaf.value for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, Ref))
        facts = [self.facts[value] for value in inputs]
        if _passes_through(node) and type(facts[0]) is OneImage:
            return list(inputs)
        inner = _inner(node.operation)
        if inner is not None and not _of_one_kind(facts) and self._fits(inner, args, kwargs):
            outputs = self._enter(inner, inputs)
            for value, tensor in zip(outputs, node.outputs, strict=True):
                self.tensors[value] = tensor  # whose shape may say more
            return outputs
        found = self._judged(node, args, kwargs, facts)
        sources = frozenset[str]().union(*(self.sources[value] for value in inputs))
        outputs = [self._value(tensor, fact, sources) for tensor, fact in zip(node.outputs, found, strict=True)]
        self.steps.append(Step(node.operation, args, kwargs, inputs, tuple(outputs)))
        return outputs

    def _fits(self, inner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether entering the model is the same as calling it: Keras would cast or reorder nothing on the way in."""
        further = [value for name, value in kwargs.items() if name != "training"]  # predictions never train
        if len(args) != 1 or any(leaf is not None for leaf in keras.tree.flatten(further)):
            return False
        given = keras.tree.flatten(args[0])
        return (
            _alike(args[0], inner.input)
            and len(given) == len(inner.inputs)
            and all(
                isinstance(leaf, Ref)
                and self.tensors[leaf.value].dtype == tensor.dtype
                and len(self.tensors[leaf.value].shape) == len(tensor.shape)
                for leaf, tensor in zip(given, inner.inputs, strict=True)
            )
        )

    def _judged(self, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any], facts: Sequence[Fact]) -> list[Fact]:
        if all(isinstance(fact, Numbers) for fact in facts):
            return [Numbers()] * len(node.outputs)
        images = [fact for fact in facts if isinstance(fact, OneImage)]
        if len(images) < len(facts):
            return [Mixed()] * len(node.outputs)
        if len({(fact.layout, fact.slots) for fact in images}) > 1:
            return self._stacked(node, args, kwargs, images)
        layout, slots = images[0].layout, images[0].slots
        symbolic = node.arguments
        kept = judge(
            Call(node.operation, symbolic.args, symbolic.kwargs, tuple(node.outputs), layout, places=len(slots))
        )
        if kept is None:
            return [Mixed()] * len(node.outputs)
        if kept.picks:
            (part,) = self._applied(args, kwargs, node.operation, 1, kept.run, kept.key)
            return [OneImage(kept.layout, (slots[pick],), part) for pick in kept.picks]
        parts = self._applied(args, kwargs, node.operation, len(node.outputs), kept.run)
        return [OneImage(kept.layout, slots, part) for part in parts]

    def _stacked(
        self, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any], images: Sequence[OneImage]
    ) -> list[Fact]:
        """Images that went the same way one by one may be put side by side."""
        alike = len({fact.part for fact in images}) == 1 and all(fact.layout == "single" for fact in images)
        run = gathered(node.operation, node.input_tensors) if alike else None
        if run is None:
            return [Mixed()] * len(node.outputs)
        (part,) = self._applied(args, kwargs, node.operation, 1, run)
        return [OneImage("stack", tuple(slot for fact in images for slot in fact.slots), part)]

    def _applied(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        operation: Any,
        outputs: int,
        run: Run | None,
        key: Hashable = None,
    ) -> tuple[int, ...]:
        def part(leaf: Any) -> Any:
            if not isinstance(leaf, Ref):
                return leaf
            fact = self.facts[leaf.value]
            assert isinstance(fact, OneImage)
            return Part(fact.part)

        parts, named = keras.tree.map_structure(part, (args, kwargs))
        return self.expressions.apply(operation, parts, named, outputs, run, key)


def nodes(model: Any) -> Iterator[Any]:
    """The calls that a model's outputs need, each after those that it takes from."""
    known = {id(tensor) for tensor in model.inputs}
    done: set[int] = set()
    waiting = [(tensor, False) for tensor in reversed(model.outputs)]
    while waiting:
        tensor, ready = waiting.pop()
        node = _node(tensor)
        if id(tensor) in known or id(node) in done:
            continue
        if ready:
            done.add(id(node))
            yield node
            continue
        waiting.append((tensor, True))
        waiting.extend((parent, False) for parent in reversed(node.input_tensors))


def is_functional(model: Any) -> bool:
    """Whether a model is a graph of layers, and not code of somebody's own."""
    return _inner(model) is not None


def _node(tensor: Any) -> Any:
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


def _inner(operation: Any) -> Any:
    """The graph of a sub-model; None for anything else."""
    if type(operation) is keras.Sequential:
        return operation if operation.built else None
    return operation if type(operation) is Functional else None


def _alike(given: Any, wanted: Any) -> bool:
    """Whether two flat structures of tensors have the same order: sequences both, or mappings with the same names."""
    if isinstance(given, Mapping) or isinstance(wanted, Mapping):
        return isinstance(given, Mapping) and isinstance(wanted, Mapping) and given.keys() == wanted.keys()
    return True


def _passes_through(node: Any) -> bool:
    """Dropout and its kin, in a prediction; not where it would cast on the way."""
    tensors = [*node.input_tensors, *node.outputs]
    return type(node.operation).__name__ in SKIPPED and len(tensors) == 2 and tensors[0].dtype == tensors[1].dtype


def _of_one_kind(facts: Sequence[Fact]) -> bool:
    """Only numbers, or only one image: nothing is gained by looking inside."""
    if all(isinstance(fact, Numbers) for fact in facts):
        return True
    slots = {fact.slots for fact in facts if isinstance(fact, OneImage) and fact.layout != "stack"}
    return len(slots) == 1 and all(isinstance(fact, OneImage) and fact.layout != "stack" for fact in facts)
