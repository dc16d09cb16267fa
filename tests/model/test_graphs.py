"""Frozen graphs: what goes in comes out, and what reaches outside is refused before it runs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from scorer.errors import BundleError
from scorer.model import graph_safety
from scorer.model.freezing import freeze
from scorer.model.graphs import check_graph, load_graph

SIZE = 32
PIXELS = {"pixels": tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8)}
NUMBERS = {"x": tf.TensorSpec([None, 4], tf.float32)}


def convolutions() -> keras.Model:
    keras.utils.set_random_seed(1)
    pixels = keras.Input((SIZE, SIZE, 3), dtype="uint8", name="pixels")
    hidden = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(pixels))
    hidden = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(hidden))
    return keras.Model(pixels, keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(hidden)))


def mobile_net() -> keras.Model:
    keras.utils.set_random_seed(1)
    pixels = keras.Input((SIZE, SIZE, 3), dtype="uint8", name="pixels")
    tower = keras.applications.MobileNetV3Small(
        weights=None, include_top=False, include_preprocessing=False, input_shape=(SIZE, SIZE, 3), pooling="avg"
    )
    return keras.Model(pixels, tower(keras.layers.Rescaling(1.0)(pixels)))


def attention() -> keras.Model:
    keras.utils.set_random_seed(1)
    features = keras.Input((4,), name="features")
    embeddings = keras.Input((None, 8), name="embeddings")
    mask = keras.Input((None,), dtype="bool", name="mask")
    asked = keras.layers.Dense(8, activation="gelu")(features)[:, None, :]
    found = keras.layers.MultiHeadAttention(2, 4)(asked, embeddings, attention_mask=mask[:, None, :])
    merged = keras.layers.LayerNormalization()(asked + found)[:, 0]
    weights = keras.ops.softmax(keras.layers.Dense(3)(merged))
    return keras.Model(
        [features, embeddings, mask], {"prediction": keras.layers.Dense(1)(merged)[:, 0], "weights": weights}
    )


def photos(number: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (number, SIZE, SIZE, 3), np.uint8)


@pytest.mark.parametrize("build", [convolutions, mobile_net])
def test_a_frozen_model_gives_what_the_model_predicts(build: Callable[[], keras.Model]) -> None:
    model = build()
    graph = load_graph(freeze(model, PIXELS, ["embedding"]), "image_tower.pb")
    found = graph(pixels=tf.constant(photos()))["embedding"].numpy()
    expected = model.predict(photos(), verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_inputs_and_outputs_keep_their_names_whatever_their_order() -> None:
    model = attention()
    signature = {
        "mask": tf.TensorSpec([None, None], tf.bool),
        "embeddings": tf.TensorSpec([None, None, 8]),
        "features": tf.TensorSpec([None, 4]),
    }
    graph = load_graph(freeze(model, signature), "head.pb")
    assert set(graph.inputs) == {"features", "embeddings", "mask"}
    assert set(graph.outputs) == {"prediction", "weights"}
    values = {
        "features": np.linspace(0, 1, 8, dtype=np.float32).reshape(2, 4),
        "embeddings": np.linspace(-1, 1, 48, dtype=np.float32).reshape(2, 3, 8),
        "mask": np.array([[True, True, False], [True, False, False]]),
    }
    expected = model.predict([values["features"], values["embeddings"], values["mask"]], verbose=0)
    for name, tensor in graph(**{name: tf.constant(value) for name, value in values.items()}).items():
        np.testing.assert_allclose(tensor.numpy(), expected[name], rtol=1e-5, atol=1e-6)


def test_equal_models_freeze_to_equal_bytes_whatever_was_built_before_them() -> None:
    first = freeze(convolutions(), PIXELS)
    attention()
    assert freeze(convolutions(), PIXELS) == first


def test_control_flow_freezes_to_equal_bytes_and_takes_either_branch() -> None:
    def either(x: tf.Tensor) -> tf.Tensor:
        return tf.cond(
            tf.reduce_sum(x) > 0, lambda: x * 2.0, lambda: tf.cond(tf.reduce_any(x < -5), lambda: x, lambda: -x)
        )

    data = freeze(either, NUMBERS, ["y"])
    assert freeze(either, NUMBERS, ["y"]) == data
    graph = load_graph(data, "head.pb")
    for x in (1.0, -1.0, -9.0):
        values = np.full((2, 4), x, np.float32)
        np.testing.assert_array_equal(graph(x=tf.constant(values))["y"].numpy(), either(tf.constant(values)).numpy())


def test_two_graphs_with_functions_of_their_own_live_side_by_side() -> None:
    graphs = [
        load_graph(freeze(lambda x, k=k: tf.cond(tf.reduce_sum(x) > 0, lambda: x + k, lambda: x), NUMBERS, ["y"]), "a")
        for k in (1.0, 2.0)
    ]
    assert [float(graph(x=tf.ones((1, 4)))["y"][0, 0]) for graph in graphs] == [2.0, 3.0]


# --- what is refused


def read_file(x: tf.Tensor) -> tf.Tensor:
    return x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def write_file(x: tf.Tensor, path: str = "/nowhere") -> tf.Tensor:
    with tf.control_dependencies([tf.io.write_file(path, "here")]):
        return tf.identity(x)


def python(x: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.numpy_function(lambda value: value, [x], tf.float32), x.shape)


def eager_python(x: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.py_function(lambda value: value, [x], tf.float32), x.shape)


def printing(x: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.raw_ops.PrintV2(input="here")]):
        return tf.identity(x)


def random(x: tf.Tensor) -> tf.Tensor:
    return x + tf.random.uniform(tf.shape(x))


def loop(x: tf.Tensor) -> tf.Tensor:
    return tf.while_loop(lambda value: tf.reduce_sum(value) < 10, lambda value: value + 1, [x])[0]


def file_name_as_constant(x: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.constant("/etc/passwd")]):
        return tf.identity(x)


REACHING_OUT = {
    "ReadFile": read_file,
    "WriteFile": write_file,
    "PyFunc": python,
    "EagerPyFunc": eager_python,
    "PrintV2": printing,
    "RandomUniform": random,
    "StatelessWhile|While": loop,
    "string": file_name_as_constant,
}


def raw_graph(function: Callable[[tf.Tensor], tf.Tensor]) -> Any:
    """A GraphDef with our interface as somebody would make it who does not go through `freeze`."""
    traced = tf.function(
        lambda x: tf.identity(function(x), name="output/y"), input_signature=[NUMBERS["x"]], autograph=False
    ).get_concrete_function()
    graph = traced.graph.as_graph_def()
    placeholder = next(node for node in graph.node if node.op == "Placeholder")
    for node in graph.node:
        node.input[:] = ["input/x" if name == placeholder.name else name for name in node.input]
    placeholder.name = "input/x"
    return graph


def in_a_function(function: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    called: Callable[[tf.Tensor], tf.Tensor] = tf.function(function, autograph=False)
    return called


def in_a_branch(function: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    return lambda x: tf.cond(tf.reduce_sum(x) > 1e30, lambda: function(x), lambda: x)


def two_functions_deep(function: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    return in_a_function(in_a_branch(in_a_function(function)))


HIDDEN = {
    "plainly": lambda function: function,
    "in a function": in_a_function,
    "in a branch": in_a_branch,
    "deep": two_functions_deep,
}


@pytest.mark.parametrize("hide", HIDDEN.values(), ids=HIDDEN.keys())
@pytest.mark.parametrize("name", REACHING_OUT)
def test_what_reaches_outside_is_refused_by_name_wherever_it_hides(name: str, hide: Any) -> None:
    graph = raw_graph(hide(REACHING_OUT[name]))
    with pytest.raises(BundleError, match=rf"bad\.pb holds the (operation|type) ({name}) .*Nothing of it was run"):
        load_graph(graph.SerializeToString(), "bad.pb")


def test_a_refused_graph_has_written_nothing(tmp_path: Path) -> None:
    target = tmp_path / "written"
    graph = raw_graph(lambda x: write_file(x, str(target)))
    with pytest.raises(BundleError, match="WriteFile"):
        load_graph(graph.SerializeToString(), "bad.pb")
    assert not target.exists()


def test_an_operation_as_the_called_function_is_refused_by_name() -> None:
    graph = raw_graph(in_a_function(lambda x: x + 1.0))
    call = next(node for node in graph.node if node.op.endswith("PartitionedCall"))
    call.attr["f"].func.name = "ReadFile"
    with pytest.raises(BundleError, match="a call of ReadFile"):
        load_graph(graph.SerializeToString(), "bad.pb")


def test_a_function_attribute_where_none_belongs_is_refused() -> None:
    graph = raw_graph(in_a_function(lambda x: x + 1.0))
    name = graph.library.function[0].signature.name
    next(node for node in graph.node if node.name == "output/y").attr["f"].func.name = name
    with pytest.raises(BundleError, match=f"a call of {name}"):
        load_graph(graph.SerializeToString(), "bad.pb")


def test_a_function_that_poses_as_an_operation_is_refused() -> None:
    graph = raw_graph(in_a_function(lambda x: x + 1.0))
    graph.library.function[0].signature.name = "Relu"
    with pytest.raises(BundleError, match="poses as the operation Relu"):
        load_graph(graph.SerializeToString(), "bad.pb")


def test_a_model_that_would_be_refused_later_is_refused_when_it_is_frozen() -> None:
    with pytest.raises(BundleError, match="The model holds the operation RandomUniform"):
        freeze(random, NUMBERS)


def test_devices_and_hints_are_stripped() -> None:
    graph = raw_graph(tf.nn.relu)
    for node in graph.node:
        node.device = "/job:worker/task:7/device:GPU:9"
        node.attr["_XlaMustCompile"].b = True
    data = graph.SerializeToString()
    assert float(load_graph(data, "a.pb")(x=tf.fill((1, 4), -1.0))["y"][0, 0]) == 0.0
    assert not any(node.device or "_XlaMustCompile" in node.attr for node in check_graph(data, "a.pb").node)


def test_a_constant_that_announces_a_terabyte_in_a_few_bytes_is_refused() -> None:
    graph = raw_graph(lambda x: x + tf.constant(1.0))
    constant = next(node for node in graph.node if node.op == "Const").attr["value"].tensor
    constant.tensor_shape.dim.add(size=1 << 40)
    with pytest.raises(BundleError, match=r"constants of more than 1,073,741,824 bytes"):
        load_graph(graph.SerializeToString(), "bad.pb")


def test_functions_that_call_each_other_in_a_circle_are_refused() -> None:
    graph = raw_graph(in_a_function(in_a_function(lambda x: x + 1.0)))
    names = [function.signature.name for function in graph.library.function]
    for function in graph.library.function:
        for node in function.node_def:
            if "f" in node.attr:
                node.attr["f"].func.name = function.signature.name
    with pytest.raises(BundleError, match="in a circle") as refusal:
        load_graph(graph.SerializeToString(), "bad.pb")
    assert any(name in str(refusal.value) for name in names)


def test_thirty_functions_that_each_call_the_one_before_twice_are_refused() -> None:
    graph = raw_graph(in_a_function(tf.abs))
    call = next(node for node in graph.node if node.op.endswith("PartitionedCall"))
    inner = call.attr["f"].func.name
    for level in range(30):
        outer = graph.library.function.add()
        outer.CopyFrom(graph.library.function[0])
        outer.signature.name = f"level_{level}"
        del outer.node_def[:]
        outer.node_def.extend([call, call])
        for node in outer.node_def:
            node.attr["f"].func.name = inner
        inner = outer.signature.name
    call.attr["f"].func.name = inner
    with pytest.raises(BundleError, match="more than 500,000 nodes"):
        load_graph(graph.SerializeToString(), "bad.pb")


def test_unknown_types_and_generic_functions_are_refused() -> None:
    graph = raw_graph(in_a_function(tf.abs))
    graph.library.function[0].signature.input_arg[0].type_attr = "T"
    with pytest.raises(BundleError, match="generic function"):
        load_graph(graph.SerializeToString(), "bad.pb")
    graph = raw_graph(tf.abs)
    graph.node[0].attr["dtype"].type = 999
    with pytest.raises(BundleError, match="type 999"):
        load_graph(graph.SerializeToString(), "bad.pb")


def test_every_allowed_operation_exists_and_keeps_no_state() -> None:
    from tensorflow.python.framework import op_def_registry

    known = {op: op_def_registry.get(op) for ops in graph_safety.ALLOWED_OPS.values() for op in ops.split()}
    assert not [op for op, definition in known.items() if definition is None]
    # Stateful by definition, since what they call might be; what they call is checked.
    calls = {"Case", "If", "StatefulPartitionedCall"}
    assert {op for op, definition in known.items() if definition.is_stateful} == calls


def test_a_graph_that_is_none_is_refused() -> None:
    good = freeze(tf.nn.relu, {"features": NUMBERS["x"]}, ["y"])
    for bad in (b"", b"no graph at all", good[: len(good) // 2], np.random.default_rng(0).bytes(500)):
        with pytest.raises(BundleError, match=r"^head\.pb is no "):
            load_graph(bad, "head.pb")


def test_a_graph_over_the_limit_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer.model.graphs.MAX_GRAPH_BYTES", 10)
    with pytest.raises(BundleError, match="more than the limit of 10"):
        load_graph(bytes(11), "head.pb")


def mutations(data: bytes, number: int) -> Iterator[bytes]:
    random = np.random.default_rng(7)
    for _ in range(number):
        mutated = bytearray(data)
        for place in random.integers(0, len(data), random.integers(1, 4)):
            mutated[place] = random.integers(0, 256)
        yield bytes(mutated)


def test_a_graph_with_flipped_bytes_loads_or_is_refused_and_nothing_else() -> None:
    good = freeze(lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: tf.nn.relu(x), lambda: x), NUMBERS, ["y"])
    refused = 0
    for bad in mutations(good, 300):
        try:
            load_graph(bad, "bad.pb")
        except BundleError:
            refused += 1
    assert refused > 100


def test_an_unknown_field_of_a_newer_tensorflow_does_no_harm() -> None:
    good = freeze(lambda x: x * 2.0, NUMBERS, ["y"])
    graph = graph_pb2.GraphDef.FromString(good + b"\xfa\x7f\x03abc")
    assert float(load_graph(graph.SerializeToString(), "a.pb")(x=tf.ones((1, 4)))["y"][0, 0]) == 2.0
