"""Frozen graphs, checked before they run. Scoring comes by here, and without Keras (see `tensorflow_alone`)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # its types are a package of their own
from tensorflow.core.framework import graph_pb2

from scorer.errors import BundleError
from scorer.model import graph_safety

MAX_GRAPH_BYTES = 1 << 30
"""Largest graph that is parsed. A protobuf ends at 2 GiB; the largest backbone of keras.applications has 0.8 GB."""

INPUT = "input/"
OUTPUT = "output/"
"""Prefixes of the nodes that are a graph's interface: `input/pixels`, `output/embedding`."""


@dataclass(frozen=True)
class Graph:
    """A graph that was found safe, ready to be called.

    Attributes:
        inputs: what it takes, by name.
        outputs: what it gives, by name.
    """

    inputs: Mapping[str, tf.TensorSpec]
    outputs: Mapping[str, tf.TensorSpec]
    _function: Callable[..., list[tf.Tensor]]

    def __call__(self, **tensors: Any) -> dict[str, tf.Tensor]:
        """Outputs by name, from one tensor for each input's name."""
        return dict(zip(self.outputs, self._function(*(tensors[name] for name in self.inputs)), strict=True))


def load_graph(data: bytes, what: str) -> Graph:
    """Check a frozen graph and make it callable. Nothing of it runs before it was found safe.

    Args:
        data: what `freezing.freeze` gave.
        what: the file it came from, for messages.

    Raises:
        BundleError: not a graph, not one of ours, or not safe; names the operation that is refused.
    """
    graph = check_graph(data, what)
    inputs = [node.name.removeprefix(INPUT) for node in graph.node if node.op == "Placeholder"]
    outputs = [node.name.removeprefix(OUTPUT) for node in graph.node if node.name.startswith(OUTPUT)]
    try:
        imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
        function = imported.prune(
            [imported.graph.get_tensor_by_name(f"{INPUT}{name}:0") for name in inputs],
            [imported.graph.get_tensor_by_name(f"{OUTPUT}{name}:0") for name in outputs],
        )
    except (ValueError, TypeError, KeyError, tf.errors.OpError) as error:
        raise BundleError(
            f"{what} is no graph that TensorFlow {tf.__version__} takes: {first_line(error)}. Nothing was scored;"
            " save the bundle again with this version, or score with the version that saved it."
        ) from None
    return Graph(_specs(inputs, function.inputs), _specs(outputs, function.outputs), function)


def check_graph(data: bytes, what: str) -> Any:
    """The parsed GraphDef, stripped and found safe. Raises BundleError."""
    if len(data) > MAX_GRAPH_BYTES:
        raise BundleError(
            f"{what} has {len(data):,} bytes, more than the limit of {MAX_GRAPH_BYTES:,}. It was not read."
        )
    graph = graph_pb2.GraphDef()
    try:
        graph.ParseFromString(data)
    except DecodeError as error:
        raise BundleError(
            f"{what} is no TensorFlow graph ({error}). Nothing was scored; save the bundle again."
        ) from None
    graph_safety.strip(graph)
    graph_safety.check(graph, what)
    strange = [node.name for node in graph.node if node.op == "Placeholder" and not node.name.startswith(INPUT)]
    if strange or not any(node.name.startswith(OUTPUT) for node in graph.node):
        found = f"an unnamed input {strange[0]!r}" if strange else "no named output"
        raise BundleError(f"{what} is no graph of this package: {found}. Nothing was scored; save the bundle again.")
    return graph


def first_line(error: Exception) -> str:
    """What TensorFlow says before it prints graphs and stacks."""
    return str(error).partition("\n")[0][:300]


def _specs(names: Sequence[str], tensors: Sequence[tf.Tensor]) -> dict[str, tf.TensorSpec]:
    return {name: tf.TensorSpec(t.shape, t.dtype, name) for name, t in zip(names, tensors, strict=True)}
