"""Which operations treat each image for itself, and in which axes: what the walk through a model goes by.

A tensor that depends on one image a row comes in one of two layouts: `single` [B, ...], or `stack` [B, K, ...] with the
images of a listing on axis 1. `merged` is a stack whose first two axes were made one, [B * K, ...]. An operation that
is not known to keep the images apart counts as bringing them together: the cut comes before it, which costs time and
never a wrong score.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

Layout = Literal["single", "stack", "merged"]
Run = Callable[..., Any]


@dataclass(frozen=True)
class Call:
    """One call of an operation whose tensors all depend on the same image or stack of images.

    Attributes:
        operation: what is called.
        args: as it was called, with a `keras.KerasTensor` for each tensor.
        kwargs: likewise.
        outputs: what it returns.
        layout: of its tensors.
        places: K of a stack, 1 for a single image.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Any, ...]
    layout: Layout
    places: int

    @property
    def kept_apart(self) -> int:
        """Axes at the front that say which image it is."""
        return 2 if self.layout == "stack" else 1

    @property
    def leaves(self) -> list[Any]:
        """All arguments, flat."""
        return list(keras.tree.flatten((self.args, self.kwargs)))

    @property
    def tensors(self) -> list[Any]:
        """Those arguments that are tensors."""
        return [leaf for leaf in self.leaves if isinstance(leaf, keras.KerasTensor)]

    @property
    def rank(self) -> int:
        """Of the first tensor."""
        return len(self.tensors[0].shape)


@dataclass(frozen=True)
class Kept:
    """The images stay apart.

    Attributes:
        layout: of the outputs.
        run: what computes the same for one image (a stack of one); None: the operation itself.
        picks: for each output, which image of the stack it is of; empty: of the same images as the input.
        key: what `run` computes, where images are picked: the same for whichever image it is.
    """

    layout: Layout
    run: Run | None = None
    picks: tuple[int, ...] = ()
    key: Hashable = None


Rule = Callable[[Call], Kept | None]


def judge(call: Call) -> Kept | None:
    """What becomes of the images; None: they are brought together, or it is not known."""
    kind = type(call.operation)
    ours = kind.__module__.partition(".")[0] == "keras"
    if isinstance(call.operation, keras.Layer):
        if call.layout != "stack":
            # Layers work on each row of a batch for itself; batch statistics are for training. The proof would tell.
            return Kept(call.layout)
        rule = STACK_LAYERS.get(kind.__name__) if ours else None
    else:
        rule = OPERATIONS.get(kind.__name__) if ours else None
    return rule(call) if rule else None


def as_it_is(call: Call) -> Kept:
    """Whatever it does, it does to each image."""
    return Kept(call.layout)


def elementwise(call: Call) -> Kept | None:
    """Value by value. Tensors of different rank, or constants with an axis for the images, would be broadcast."""
    ranks = {len(tensor.shape) for tensor in call.tensors}
    constants = (leaf for leaf in call.leaves if not isinstance(leaf, keras.KerasTensor | str | type(None)))
    fits = all(_rank_of(leaf) <= call.rank - call.kept_apart for leaf in constants)
    return Kept(call.layout) if len(ranks) == 1 and fits else None


def along_its_axis(call: Call) -> Kept | None:
    """Reductions, softmax, concatenation and their kin, by the axis that the operation was made with."""
    axes = _axes(getattr(call.operation, "axis", None), call.rank)
    if axes is None or len({len(tensor.shape) for tensor in call.tensors}) > 1:
        return None
    return Kept(call.layout) if min(axes, default=0) >= call.kept_apart else None


def new_axis(call: Call) -> Kept | None:
    """expand_dims and stack: the axis counts in the result."""
    axes = _axes(call.operation.axis, call.rank + 1)
    return Kept(call.layout) if axes and min(axes) >= call.kept_apart else None


def last_axis(call: Call) -> Kept | None:
    """What mixes values of the last axis only: it must lie behind the images."""
    return Kept(call.layout) if call.rank > call.kept_apart else None


def batched_product(call: Call) -> Kept | None:
    """Matmul takes all axes but the last two as a batch."""
    ranks = {len(tensor.shape) for tensor in call.tensors}
    fits = len(ranks) == 1 and len(call.tensors) == 2 and call.rank >= call.kept_apart + 2
    return Kept(call.layout) if fits else None


def one_image_a_row(call: Call) -> Kept | None:
    """Convolutions, pooling and resizing, written as operations."""
    return Kept(call.layout) if call.layout != "stack" else None


def transposed(call: Call) -> Kept | None:
    """The images' axes stay in front."""
    axes = call.operation.axes
    front = list(range(call.kept_apart))
    return (
        Kept(call.layout) if axes is not None and [axis % call.rank for axis in axes][: len(front)] == front else None
    )


def reshaped(call: Call) -> Kept | None:
    """The three ways in which images stay rows: within each, stack to merged, merged to stack."""
    before, after = call.tensors[0].shape[1:], call.outputs[0].shape[1:]
    inner = before[1:] if call.layout == "stack" else before
    if None in inner or None in after:
        return None
    size, total = math.prod(inner), math.prod(after)
    if call.layout == "stack" and after[:1] == (call.places,) and math.prod(after[1:]) == size:
        return Kept("stack", _reshape_to((1, *after[1:])))
    if call.layout == "stack":
        return Kept("merged", _reshape_to(after)) if total == size else None
    if call.layout == "merged" and after[:1] == (call.places,) and total == call.places * size:
        return Kept("stack", _reshape_to((1, *after[1:])))
    return Kept(call.layout) if total == size else None


def taken(call: Call) -> Kept | None:
    """x[:, 0] takes one image out of a stack; further indices must leave the images alone."""
    key = call.args[1] if len(call.args) > 1 else call.kwargs.get("key")
    key = tuple(key) if isinstance(key, tuple | list) else (key,)  # a list, once it has been through a file
    if not all(isinstance(step, int | slice | type(Ellipsis)) for step in key):
        return None
    if key[0] is Ellipsis:
        return Kept(call.layout) if len(key) - 1 <= call.rank - call.kept_apart else None
    if key[0] != slice(None) or Ellipsis in key[1:2]:
        return None
    if call.layout != "stack" or key[1:2] == (slice(None),):
        return Kept(call.layout)
    if len(key) > 1 and isinstance(key[1], int) and -call.places <= key[1] < call.places:
        rest = key[2:]
        pick = (key[1] % call.places,)
        return Kept("single", lambda x, *_, **__: x[(slice(None), 0, *rest)], pick, ("taken", repr(rest)))
    return None


def unstacked(call: Call) -> Kept | None:
    """Unstack along the images gives each of them; along another axis it leaves them alone."""
    axes = _axes(call.operation.axis, call.rank)
    if call.layout == "stack" and axes == (1,):
        return Kept("single", lambda x, *_, **__: x[:, 0], tuple(range(call.places)), ("taken", repr(())))
    return Kept(call.layout) if axes and min(axes) >= call.kept_apart else None


def parted(call: Call) -> Kept | None:
    """Split along the images into as many parts gives each of them, as a stack of one."""
    axes = _axes(call.operation.axis, call.rank)
    if call.layout == "stack" and axes == (1,) and len(call.outputs) == call.places:
        return Kept("single", lambda x, *_, **__: x, tuple(range(call.places)), "parted")
    return Kept(call.layout) if axes and min(axes) >= call.kept_apart else None


def gathered(operation: Any, tensors: Sequence[Any]) -> Run | None:
    """Single images put side by side on axis 1: what makes a stack of one out of each; None: it is something else."""
    axes = _axes(getattr(operation, "axis", None), len(tensors[0].shape))
    match type(operation).__name__:
        case "Stack" if operation.axis in (1, -len(tensors[0].shape)):
            return lambda images, *_, **__: keras.ops.expand_dims(images[0], 1)
        case "Concatenate" if axes == (1,) and all(tensor.shape[1] == 1 for tensor in tensors):
            return lambda images, *_, **__: images[0]
    return None


def _reshape_to(shape: Sequence[int]) -> Run:
    return lambda x, *_, **__: keras.ops.reshape(x, (-1, *shape))


def _axes(axis: Any, rank: int) -> tuple[int, ...] | None:
    """Axes counted from the front; None for all of them, which the images' are among."""
    if axis is None:
        return None
    return tuple(int(one) % rank for one in (axis if isinstance(axis, tuple | list) else (axis,)))


def _rank_of(constant: Any) -> int:
    return 0 if isinstance(constant, bool | int | float) else np.ndim(constant)


def _rescaled(call: Call) -> Kept | None:
    # With a figure for each channel, the last axis must lie behind the images.
    return last_axis(call)


def _table(*rows: tuple[Rule, str]) -> dict[str, Rule]:
    return {name: rule for rule, names in rows for name in names.split()}


OPERATIONS = _table(
    (
        elementwise,
        "Absolute Add Arccos Arcsin Arctan Cast Ceil Celu Clip ConvertToTensor Cos Cosh Divide DivideNoNan Elu Equal"
        " Erf Exp Exp2 Expm1 Floor FloorDivide FullLike Gelu Greater GreaterEqual HardShrink HardSigmoid HardSilu"
        " HardTanh Isfinite Isinf Isnan LeakyRelu Less LessEqual Log Log10 Log1p Log2 LogSigmoid LogicalAnd LogicalNot"
        " LogicalOr Logaddexp Maximum Minimum Mod Multiply NanToNum Negative NotEqual OnesLike Power Reciprocal Relu"
        " Relu6 Round Rsqrt SaturateCast Selu Sigmoid Sign Silu Sin Sinh SoftShrink Softplus Softsign SparsePlus Sqrt"
        " Square Squareplus StopGradient Subtract Tan Tanh TanhShrink Threshold TrueDivide Trunc Where ZerosLike",
    ),
    (
        along_its_axis,
        "All Amax Amin Any Argmax Argmin Concatenate CountNonzero Cumsum Cumprod Flip LogSoftmax Logsumexp Max Mean"
        " Median Min Normalize Prod Softmax Squeeze Std Sum Var",
    ),
    (new_axis, "ExpandDims Stack"),
    (batched_product, "Matmul"),
    (
        one_image_a_row,
        "AveragePool Conv ConvTranspose DepthToSpace DepthwiseConv MaxPool RGBToGrayscale Resize SeparableConv"
        " SpaceToDepth",
    ),
    (transposed, "Transpose"),
    (reshaped, "Reshape"),
    (taken, "GetItem"),
    (unstacked, "Unstack"),
    (parted, "Split"),
)
"""Operations of keras.ops by the names of their classes."""

STACK_LAYERS = _table(
    (as_it_is, "TimeDistributed"),
    (elementwise, "Add Average ELU LeakyReLU Maximum Minimum Multiply ReLU Subtract"),
    (last_axis, "Activation Dense"),
    (_rescaled, "Rescaling"),
    (along_its_axis, "BatchNormalization Concatenate LayerNormalization Normalization Softmax UnitNormalization"),
    (reshaped, "Reshape"),
)
"""Layers that keep the images of a stack apart, under the conditions of their rules."""

SKIPPED = frozenset(
    {
        "ActivityRegularization",
        "AlphaDropout",
        "Dropout",
        "GaussianDropout",
        "GaussianNoise",
        "Identity",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
    }
)
"""Layers that pass everything through when a model predicts."""
