"""What a graph from a bundle may hold: pure arithmetic on tensors, and nothing that reaches outside.

TensorFlow runs whatever a GraphDef says, with our rights: ReadFile, WriteFile and PyFunc are nodes like any other. A
bundle comes from a store that others may write to, so every node of the graph and of each function in its library must
stand in `ALLOWED_OPS`, before TensorFlow sees the graph at all.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import tensorflow as tf

from scorer.errors import BundleError
from scorer.model.graph_names import callees

ALLOWED_OPS: Mapping[str, str] = {
    "structure": "Const EnsureShape Identity IdentityN NoOp Placeholder Snapshot StopGradient",
    "arithmetic": "Abs Add AddN AddV2 BiasAdd Ceil DivNoNan Floor FloorDiv FloorMod Maximum Minimum Mul MulNoNan Neg"
    " RealDiv Reciprocal Rint Round Sign Square SquaredDifference Sub Xdivy Xlogy",
    "functions": "Acos Asin Atan Atan2 Cos Cosh Erf Erfc Exp Expm1 Log Log1p Pow Rsqrt Sin Sinh Sqrt Tan Tanh",
    "activations": "Elu LeakyRelu LogSoftmax Relu Relu6 Selu Sigmoid Softmax Softplus Softsign",
    "comparison": "ApproximateEqual Bitcast BitwiseAnd BitwiseOr Bucketize Cast ClipByValue Equal Greater GreaterEqual"
    " IsFinite IsInf IsNan Less LessEqual LogicalAnd LogicalNot LogicalOr NotEqual Select SelectV2",
    "reduction": "All Any ArgMax ArgMin Cumprod Cumsum EuclideanNorm LowerBound Max Mean Min Prod Sum TopKV2"
    " UpperBound",
    "products": "BatchMatMul BatchMatMulV2 BatchMatMulV3 Einsum MatMul",
    "images": "AvgPool BatchToSpaceND Conv2D Conv2DBackpropInput DepthToSpace DepthwiseConv2dNative FusedBatchNormV3"
    " MaxPool ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor ScaleAndTranslate SpaceToBatchND"
    " SpaceToDepth",
    "arrays": "BroadcastArgs BroadcastTo ConcatV2 ExpandDims Fill GatherNd GatherV2 InvertPermutation LinSpace"
    " MatrixBandPart MatrixDiagV3 MirrorPad OneHot OnesLike Pack Pad PadV2 Range Rank Reshape ReverseV2 Roll ScatterNd"
    " Shape ShapeN Size Slice Split SplitV Squeeze StridedSlice TensorScatterUpdate Tile Transpose Unpack Where"
    " ZerosLike",
    # What is called stands in the library, which is checked like the graph itself. No loops: they could be endless.
    "calls": "Case If PartitionedCall StatefulPartitionedCall StatelessCase StatelessIf",
}
"""By purpose. All that keras.applications' backbones, attention and normalisation layers freeze to, and their kin."""

ALLOWED_TYPES = "bfloat16 bool float16 float32 float64 int16 int32 int64 int8 uint16 uint32 uint64 uint8"
"""Plain numbers. No strings (they could be file names), no resources, no variants, no references."""

MAX_NODES = 500_000
"""Nodes once every call is expanded; the largest backbone of keras.applications has some 7,000."""

MAX_CONSTANT_BYTES = 1 << 30
"""All constants together, as large as their shapes say: a shape of a few bytes can announce a terabyte."""

_OPS = frozenset(op for ops in ALLOWED_OPS.values() for op in ops.split())
_CALLS = frozenset(ALLOWED_OPS["calls"].split())
_TYPES = frozenset(ALLOWED_TYPES.split())
_PLAIN_FIELDS = ("f", "i", "b", "s", "shape", None)
_MACHINERY = ("config", "config_proto", "executor_type")


def check(graph: Any, what: str) -> None:
    """Refuse a graph that holds anything but pure computation of a bounded size.

    Args:
        graph: a parsed GraphDef.
        what: the file it came from, for messages.

    Raises:
        BundleError: naming the operation (or type, function, constant) and where it stands.
    """
    inspection = _Inspection(what, graph)
    bodies = {f"function {function.signature.name!r}": function.node_def for function in graph.library.function}
    bodies["the graph"] = graph.node
    # Operations first: ReadFile says more to whoever reads the message than the string that it takes.
    for where, nodes in bodies.items():
        inspection.operations(where, nodes)
    for function in graph.library.function:
        inspection.signature(function)
    for where, nodes in bodies.items():
        inspection.attributes(where, nodes)
    inspection.expanded_size(graph.node)


class _Inspection:
    """One pass over one graph, with what it has added up so far."""

    def __init__(self, what: str, graph: Any) -> None:
        self._what = what
        self._functions = {function.signature.name: function for function in graph.library.function}
        self._constant_bytes = 0
        if len(self._functions) != len(graph.library.function):
            raise self._refusal("two functions of one name")
        # TensorFlow would call the function where the table below sees the harmless operation.
        if shadowing := sorted(_OPS & self._functions.keys()):
            raise self._refusal(f"a function that poses as the operation {shadowing[0]}")

    def operations(self, where: str, nodes: Iterable[Any]) -> None:
        for node in nodes:
            if node.op not in _OPS:
                raise self._refusal(f"the operation {node.op} (node {node.name!r} of {where})")

    def attributes(self, where: str, nodes: Iterable[Any]) -> None:
        for node in nodes:
            for name, value in node.attr.items():
                self._attribute(f"attribute {name!r} of node {node.name!r} of {where}", node.op, value)

    def signature(self, function: Any) -> None:
        arguments = (*function.signature.input_arg, *function.signature.output_arg)
        if function.signature.attr or any(argument.type_attr or argument.number_attr for argument in arguments):
            raise self._refusal(f"the generic function {function.signature.name!r}")
        for argument in arguments:
            self._type(f"an argument of function {function.signature.name!r}", argument.type)

    def _attribute(self, where: str, op: str, value: Any) -> None:
        match value.WhichOneof("value"):
            case "type":
                self._type(where, value.type)
            case "func":
                self._function(where, op, value.func)
            case "tensor":
                self._constant(where, value.tensor)
            case "list":
                self._list(where, op, value.list)
            case field if field not in _PLAIN_FIELDS:
                raise self._refusal(f"a {field} as {where}")

    def _list(self, where: str, op: str, values: Any) -> None:
        for kind in values.type:
            self._type(where, kind)
        for function in values.func:
            self._function(where, op, function)
        for tensor in values.tensor:
            self._constant(where, tensor)

    def _type(self, where: str, kind: int) -> int:
        """Bytes per value of an allowed type."""
        try:
            found = tf.dtypes.as_dtype(kind)
        except TypeError:
            raise self._refusal(f"the unknown type {kind} ({where})") from None
        if found.name not in _TYPES:
            raise self._refusal(f"the type {found.name} ({where})")
        return int(found.size)

    def _function(self, where: str, op: str, reference: Any) -> None:
        # TensorFlow would also take the bare name of an operation here, which no table would have seen.
        if reference.name not in self._functions or op not in _CALLS:
            raise self._refusal(f"a call of {reference.name} ({where})")
        if reference.attr:
            raise self._refusal(f"a call of {reference.name} with attributes ({where})")

    def _constant(self, where: str, tensor: Any) -> None:
        size = self._type(where, tensor.dtype)
        sides = [dimension.size for dimension in tensor.tensor_shape.dim]
        if tensor.tensor_shape.unknown_rank or min(sides, default=0) < 0:
            raise self._refusal(f"a constant without a size ({where})")
        self._constant_bytes += size * math.prod(sides)
        if self._constant_bytes > MAX_CONSTANT_BYTES:
            raise self._refusal(f"constants of more than {MAX_CONSTANT_BYTES:,} bytes ({where})")

    def expanded_size(self, nodes: Sequence[Any]) -> None:
        """Count the nodes with every call expanded: thirty functions can call each other a billion times."""
        called = {
            name: [callee.name for callee in callees(function.node_def)] for name, function in self._functions.items()
        }
        sizes: dict[str, int] = {}
        try:
            # Callees come first. A cycle is refused, since TensorFlow would expand it without end.
            for name in TopologicalSorter(called).static_order():
                sizes[name] = len(self._functions[name].node_def) + sum(sizes[callee] for callee in called[name])
        except CycleError as cycle:
            raise self._refusal(f"functions that call each other in a circle ({', '.join(cycle.args[1])})") from None
        if max(len(nodes) + sum(sizes[callee.name] for callee in callees(nodes)), *sizes.values(), 0) > MAX_NODES:
            raise self._refusal(f"more than {MAX_NODES:,} nodes once its calls are expanded")

    def _refusal(self, found: str) -> BundleError:
        return BundleError(
            f"{self._what} holds {found}, which no bundle may hold: only pure computation on numbers is run."
            " Nothing of it was run. If its source is trusted, train and save the bundle again with this package."
        )


def strip(graph: Any) -> None:
    """Take away, in place, what only steers TensorFlow's machinery: devices, hints, debug notes, gradients."""
    del graph.library.gradient[:]
    del graph.library.registered_gradients[:]
    for function in graph.library.function:
        function.attr.clear()
        function.arg_attr.clear()
        _strip_nodes(function.node_def)
    _strip_nodes(graph.node)


def _strip_nodes(nodes: Iterable[Any]) -> None:
    for node in nodes:
        node.device = ""
        node.ClearField("experimental_debug_info")
        for name in list(node.attr):
            if name.startswith("_") or name in _MACHINERY:
                del node.attr[name]
