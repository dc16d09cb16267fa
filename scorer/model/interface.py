"""The two graphs of a bundle, held to the shapes that its bundle.json promises."""

from collections.abc import Mapping

import tensorflow as tf

from scorer.errors import BundleError
from scorer.model.bundle import Bundle
from scorer.model.content import HEAD, IMAGE_TOWER
from scorer.model.graphs import Graph, load_graph
from scorer.objectstore import join

Specs = Mapping[str, tf.TensorSpec]


def load_image_tower(bundle: Bundle) -> Graph:
    """uint8 [B, S, S, 3] "pixels" -> float32 [B, D] "embedding". Raises BundleError."""
    size = bundle.pixels.size
    return _loaded(
        bundle,
        IMAGE_TOWER,
        {"pixels": tf.TensorSpec([None, size, size, 3], tf.uint8)},
        {"embedding": tf.TensorSpec([None, bundle.embedding_size], tf.float32)},
    )


def load_head(bundle: Bundle) -> Graph:
    """float32 [B, F] "features", float32 [B, K, D] "embeddings", bool [B, K] "mask" -> float32 [B] each output.

    Raises BundleError.
    """
    return _loaded(
        bundle,
        HEAD,
        {
            "features": tf.TensorSpec([None, bundle.preprocessing.width], tf.float32),
            "embeddings": tf.TensorSpec([None, None, bundle.embedding_size], tf.float32),
            "mask": tf.TensorSpec([None, None], tf.bool),
        },
        {name: tf.TensorSpec([None], tf.float32) for name in bundle.outputs},
    )


def _loaded(bundle: Bundle, path: str, inputs: Specs, outputs: Specs) -> Graph:
    graph = load_graph(bundle.read(path), join(bundle.uri, path))
    if not (_fit(graph.inputs, inputs) and _fit(graph.outputs, outputs)):
        raise BundleError(
            f"{path} of {bundle.uri} does not fit its bundle.json: it takes {_shown(graph.inputs)} and gives"
            f" {_shown(graph.outputs)}; expected {_shown(inputs)} and {_shown(outputs)}. Nothing was scored."
        )
    return graph


def _fit(found: Specs, expected: Specs) -> bool:
    return found.keys() == expected.keys() and all(found[name].is_compatible_with(expected[name]) for name in found)


def _shown(specs: Specs) -> str:
    return ", ".join(f"{name} {spec.dtype.name} {spec.shape}" for name, spec in sorted(specs.items()))
