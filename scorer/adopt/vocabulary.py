"""What a .keras file may be made of: layers and operations that compute on numbers, named one by one.

Keras builds whatever a file names, and its own guard (`safe_mode`) let code through three times in 2025. Here a name
that is not listed is refused before Keras sees the file: custom layers, Lambda, and those of Keras's own that load
files, look up texts or wrap other frameworks.
"""

from scorer.model.split.rules import OPERATIONS as KEPT_APART


def _names(*texts: str) -> frozenset[str]:
    return frozenset(name for text in texts for name in text.split())


LAYERS = _names(
    # core and shapes
    "Activation Cropping1D Cropping2D Cropping3D Dense EinsumDense Embedding Flatten Identity InputLayer Masking",
    "Permute RepeatVector Reshape UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D",
    # activations
    "ELU LeakyReLU PReLU ReLU Softmax ThresholdedReLU",
    # attention
    "AdditiveAttention Attention GroupQueryAttention GroupedQueryAttention MultiHeadAttention",
    # convolutions
    "Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose DepthwiseConv1D DepthwiseConv2D",
    "SeparableConv1D SeparableConv2D",
    # pooling
    "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AveragePooling1D",
    "AveragePooling2D AveragePooling3D GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D",
    "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D MaxPooling1D MaxPooling2D MaxPooling3D",
    # merging
    "Add Average Concatenate Dot Maximum Minimum Multiply Subtract",
    # normalisation
    "BatchNormalization GroupNormalization LayerNormalization RMSNormalization SpectralNormalization UnitNormalization",
    # sequences
    "Bidirectional ConvLSTM1D ConvLSTM2D GRU GRUCell LSTM LSTMCell RNN SimpleRNN SimpleRNNCell StackedRNNCells",
    "TimeDistributed",
    # at work in training only
    "ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise RandomBrightness RandomContrast",
    "RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom SpatialDropout1D SpatialDropout2D",
    "SpatialDropout3D",
    # pixels and numbers
    "CenterCrop Normalization Rescaling Resizing",
)
"""Of keras.layers."""

OPERATIONS = frozenset(KEPT_APART) | _names(
    "ArraySplit Average BatchNorm BroadcastTo Cross Diag Diagonal Dot DotProductAttention Einsum ExtractPatches Glu",
    "Inner LayerNorm LogicalXor Moments Moveaxis Norm OneHot Outer Pad RMSNorm Ravel Repeat Roll Sort Swapaxes Take",
    "TakeAlongAxis Tensordot Tile TopK Trace Tril Triu Vdot",
)
"""Of keras.ops, by the names of their classes."""

ACTIVATIONS = _names(
    "celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear",
    "log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus",
    "sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold",
)
"""Of keras.activations; functions, where the others are classes."""

INITIALIZERS = _names(
    "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform Ones",
    "Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros",
)

CLASSES: dict[str, frozenset[str]] = {
    "keras.layers": LAYERS,
    "keras.initializers": INITIALIZERS,
    "keras.regularizers": _names("L1 L2 L1L2 OrthogonalRegularizer"),
    "keras.constraints": _names("MaxNorm MinMaxNorm NonNeg UnitNorm"),
    "keras": _names("DTypePolicy Functional Model Sequential"),
    "keras.models": _names("Functional Model Sequential"),
    "keras.dtype_policies": _names("DTypePolicy"),
    "keras.src.models.functional": _names("Functional"),
    "keras.src.models.sequential": _names("Sequential"),
    "keras.src.applications.convnext": _names("LayerScale StochasticDepth"),
    "keras.src.applications.inception_resnet_v2": _names("CustomScaleLayer"),
    **{f"keras.src.ops.{name}": OPERATIONS for name in ("core", "image", "linalg", "math", "nn", "numpy")},
}
"""Module as Keras writes it -> classes that may be named in it."""

FUNCTIONS: dict[str, frozenset[str]] = {"builtins": ACTIVATIONS, "keras.activations": ACTIVATIONS}
"""Module -> functions that may be named in it."""

DATA = _names("__ellipsis__ __keras_tensor__ __numpy__ __slice__ __tensor__")
"""Class names that stand for plain values."""
