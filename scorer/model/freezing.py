"""Models become frozen graphs: weights turn into constants, Python stays behind."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

# The one way from variables to constants that TensorFlow 2 offers; its own converters use it under this name.
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from scorer.model import graph_names, graph_safety
from scorer.model.graphs import INPUT, OUTPUT


def freeze(
    function: keras.Model | Callable[..., Any],
    signature: Mapping[str, tf.TensorSpec],
    outputs: Sequence[str] = ("output",),
) -> bytes:
    """A model, as it predicts, as a GraphDef without variables. Equal weights give equal bytes.

    Args:
        function: a Keras model whose inputs have the signature's names (or that has one input), or any function that
            TensorFlow can trace; it takes the signature's names as keywords.
        signature: type and shape of each input; None where the size is free.
        outputs: names of what is returned when that is no dictionary, which has its own.

    Returns:
        The serialised GraphDef; `graphs.load_graph` takes it.

    Raises:
        BundleError: the model does something that `graph_safety` does not admit.
    """

    def predict(**tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return _named(_call(function, tensors), outputs)

    named = {name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in signature.items()}
    traced = tf.function(predict, autograph=False).get_concrete_function(**named)
    # Control flow stays a function call each: lowered, it would become Switch and Merge, which form loops.
    frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)
    graph = frozen.graph.as_graph_def()
    graph_safety.strip(graph)
    interface = {tensor.op.name: INPUT + name for name, tensor in zip(sorted(named), frozen.inputs, strict=True)}
    for name, tensor in zip(sorted(traced.structured_outputs), frozen.outputs, strict=True):
        interface[OUTPUT + name] = OUTPUT + name
        node = graph.node.add(name=OUTPUT + name, op="Identity", input=[tensor.name])
        node.attr["T"].type = tensor.dtype.as_datatype_enum
    graph_names.canonical(graph, interface)
    graph_safety.check(graph, "The model")
    return bytes(graph.SerializeToString(deterministic=True))


def _call(function: Any, tensors: dict[str, tf.Tensor]) -> Any:
    if not isinstance(function, keras.Model):
        return function(**tensors)
    if len(tensors) == 1:
        return function(*tensors.values(), training=False)
    # In the structure, list or dictionary, that the model was built with.
    return function(keras.tree.map_structure(lambda tensor: tensors[tensor.name], function.input), training=False)


def _named(result: Any, names: Sequence[str]) -> dict[str, tf.Tensor]:
    if isinstance(result, Mapping):
        return dict(result)
    results = result if isinstance(result, list | tuple) else [result]
    return dict(zip(names, results, strict=True))
