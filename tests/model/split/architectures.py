"""Models as people build them, small, with random weights: what the tests of the cut go through."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers, ops

from scorer.model.split import Wiring

SIZE = 24
FEATURES = 5
PLACES = 3


@dataclass(frozen=True)
class Architecture:
    """A model and what must be found out about it.

    Attributes:
        build: makes it.
        embedding: D of the cut; None: there is nothing to cut.
        says: a part of the reason, where there is nothing to cut.
        wiring: what it does not say itself.
    """

    build: Callable[[], Any]
    embedding: int | None = None
    says: str = ""
    wiring: Wiring = field(default_factory=Wiring)


def numbers(width: int = FEATURES) -> Any:
    return keras.Input((width,), name="features")


def photo(size: int = SIZE, name: str = "photo", **options: Any) -> Any:
    return keras.Input((size, size, 3), name=name, **options)


def photos(places: int | None = PLACES) -> Any:
    return keras.Input((places, SIZE, SIZE, 3), name="photos")


def tower(width: int = 6, name: str = "tower") -> Any:
    """A sub-model: convolution, normalisation, pooling."""
    image = keras.Input((SIZE, SIZE, 3))
    maps = layers.Conv2D(4, 3, activation="relu")(image)
    maps = layers.BatchNormalization()(layers.MaxPooling2D(2)(maps))
    return keras.Model(image, layers.Dense(width)(layers.GlobalAveragePooling2D()(maps)), name=name)


def head(*parts: Any) -> Any:
    joined = layers.Concatenate()(list(parts)) if len(parts) > 1 else parts[0]
    return layers.Dense(1, name="price")(layers.Dense(7, activation="relu")(joined))


def flat_layers() -> Any:
    """No sub-model: convolutions in the model's own graph, dropout and flattening before the concatenation."""
    image, given = photo(), numbers()
    maps = layers.MaxPooling2D(4)(layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(image)))
    embedding = layers.Dropout(0.3)(layers.Dense(6, activation="relu")(layers.Flatten()(maps)))
    return keras.Model([image, given], head(embedding, layers.Dense(4)(given)))


def sub_model() -> Any:
    image, given = photo(), numbers()
    return keras.Model({"photo": image, "features": given}, head(tower()(image), given))


def sequential_tower() -> Any:
    image, given = photo(), numbers()
    stacked = keras.Sequential([layers.Conv2D(4, 5, strides=2), layers.ReLU(), layers.GlobalMaxPooling2D()])
    return keras.Model([given, image], head(given, stacked(image)))


def time_distributed() -> Any:
    images, given = photos(), numbers()
    pooled = layers.GlobalAveragePooling1D()(layers.TimeDistributed(tower())(images))
    return keras.Model([images, given], head(pooled, given))


def shared_tower_over_inputs() -> Any:
    images, given, shared = [photo(name=f"photo_{place}") for place in range(4)], numbers(), tower()
    embeddings = [layers.Dropout(0.2)(shared(image)) for image in images]
    return keras.Model([*images, given], head(*embeddings, given))


def separate_towers() -> Any:
    front, plan, given = photo(name="front"), photo(name="plan"), numbers()
    return keras.Model([front, plan, given], head(tower(6, "facade")(front), tower(5, "plans")(plan), given))


def merged_batch_with_mask() -> Any:
    images, given, mask = photos(), numbers(), keras.Input((PLACES,), dtype="bool", name="mask")
    embedded = ops.reshape(tower()(ops.reshape(images, (-1, SIZE, SIZE, 3))), (-1, PLACES, 6))
    there = ops.expand_dims(ops.cast(mask, "float32"), -1)
    mean = ops.sum(embedded * there, axis=1) / ops.maximum(ops.sum(there, axis=1), 1.0)
    return keras.Model([images, given, mask], head(mean, given))


def attention_over_images() -> Any:
    images, given, mask = photos(), numbers(), keras.Input((PLACES,), dtype="bool", name="mask")
    embedded = layers.LayerNormalization()(layers.TimeDistributed(tower(8))(images))
    query = layers.Reshape((1, 8))(layers.Dense(8)(given))
    seen = layers.MultiHeadAttention(2, 4)(query, embedded, attention_mask=layers.Reshape((1, PLACES))(mask))
    return keras.Model([images, given, mask], head(layers.Flatten()(seen), given))


def several_branches_and_outputs() -> Any:
    """An early and a late branch of the image, an output of the image alone, two of both."""
    image, given = photo(), numbers()
    early = layers.Conv2D(4, 3, activation="relu")(image)
    late = layers.Conv2D(5, 3, strides=4)(early)
    branches = [layers.GlobalAveragePooling2D()(early), layers.Flatten()(late)]
    looks = layers.Dense(1, activation="sigmoid", name="looks")(branches[0])
    both = layers.Concatenate()([*branches, given])
    outputs = {"looks": looks, "prediction": head(both), "quantiles": layers.Dense(2, name="q")(both)}
    return keras.Model([image, given], outputs)


def film_late() -> Any:
    image, given = photo(), numbers()
    embedding = tower()(image)
    return keras.Model([image, given], head(embedding * layers.Dense(6)(given) + layers.Dense(6)(given)))


def film_early() -> Any:
    """Numbers steer the feature maps from the first convolution on."""
    image, given = keras.Input((64, 64, 3), name="photo"), numbers()
    maps = layers.Conv2D(8, 3, padding="same", name="stem")(image)
    for place in range(2):
        scale = layers.Reshape((1, 1, 8))(layers.Dense(8)(given))
        maps = layers.Conv2D(8, 3, activation="relu")(layers.Multiply(name=f"film_{place}")([maps, scale]))
    return keras.Model([image, given], head(layers.GlobalAveragePooling2D()(maps)))


def numbers_among_the_pixels() -> Any:
    image, given = photo(), numbers(3)
    plane = layers.Reshape((SIZE, SIZE, 3))(layers.RepeatVector(SIZE * SIZE)(given))
    return keras.Model([image, given], head(tower()(layers.Concatenate(name="planes")([image, plane])[..., 2:5])))


def difference_of_two_images() -> Any:
    before, after, given = photo(name="before"), photo(name="after"), numbers()
    return keras.Model([before, after, given], head(tower()(layers.Subtract(name="change")([before, after])), given))


def sub_model_of_both() -> Any:
    """The image meets the numbers inside a sub-model; the cut must go through it."""
    inner_image, inner_given = keras.Input((SIZE, SIZE, 3)), keras.Input((FEATURES,))
    inner = keras.Model([inner_image, inner_given], head(tower()(inner_image), inner_given), name="inner")
    image, given = photo(), numbers()
    return keras.Model([image, given], layers.Dense(1)(inner([image, given])))


def unstacked_and_stacked() -> Any:
    images, given, shared = photos(), numbers(), tower()
    embedded = ops.stack([ops.relu(shared(image)) for image in ops.unstack(images, PLACES, axis=1)], axis=1)
    return keras.Model([images, given], head(ops.max(layers.Dense(5)(embedded), axis=1), given))


def slices_in_another_order() -> Any:
    images, given, shared = photos(), numbers(), tower()
    return keras.Model([images, given], head(shared(images[:, 2]), shared(images[:, 0]), given))


def any_number_of_images() -> Any:
    images, given, mask = photos(None), numbers(), keras.Input((None,), name="image_mask")
    embedded = layers.TimeDistributed(tower())(images)
    best = ops.max(embedded - 1000.0 * (1.0 - ops.expand_dims(mask, -1)), axis=1)
    return keras.Model([images, given, mask], head(best, given))


def einsum_over_images() -> Any:
    """An operation that no rule knows: the cut goes before it."""
    images, given = photos(), numbers()
    embedded = layers.TimeDistributed(tower())(images)
    return keras.Model([images, given], head(ops.einsum("bkd,bjd->bkj", embedded, embedded)[:, 0], given))


def category_by_embedding() -> Any:
    image, given, city = photo(dtype="uint8"), numbers(2), keras.Input((1,), dtype="int32", name="city")
    place = layers.Flatten()(layers.Embedding(4, 3)(city))
    return keras.Model([image, given, city], head(tower()(layers.Rescaling(1 / 255)(image)), given, place))


def recurrent_over_images() -> Any:
    images, given = photos(), numbers()
    return keras.Model(
        [images, given], head(layers.GRU(4, unroll=True)(layers.TimeDistributed(tower())(images)), given)
    )


def application(name: str, size: int = 32, **options: Any) -> Callable[[], Any]:
    """A backbone of keras.applications in front of the numbers."""

    def build() -> Any:
        image, given = photo(size), numbers()
        shape = {"input_shape": (size, size, 3), "include_top": False, "pooling": "avg", "weights": None}
        backbone = getattr(keras.applications, name)(**shape, **options)
        return keras.Model([image, given], head(layers.Dropout(0.2)(backbone(image)), given))

    return build


def application_in_its_graph() -> Any:
    """A backbone whose layers are the model's own, not a sub-model's."""
    image, given = photo(32), numbers()
    backbone = keras.applications.MobileNetV2(
        input_tensor=image, alpha=0.35, include_top=False, pooling="avg", weights=None
    )
    return keras.Model([image, given], head(backbone.output, given))


ARCHITECTURES = {
    "flat_layers": Architecture(flat_layers, 6),
    "sub_model": Architecture(sub_model, 6),
    "sequential_tower": Architecture(sequential_tower, 4),
    "time_distributed": Architecture(time_distributed, 6),
    "shared_tower_over_inputs": Architecture(shared_tower_over_inputs, 6),
    "separate_towers": Architecture(separate_towers, 11),
    "merged_batch_with_mask": Architecture(merged_batch_with_mask, 6),
    "attention_over_images": Architecture(attention_over_images, 8),
    "several_branches_and_outputs": Architecture(several_branches_and_outputs, 1 + 4 + 5 * 25),
    "film_late": Architecture(film_late, 6),
    "film_early": Architecture(film_early, None, "'film_0' (Multiply) takes in 'features', 'photo'"),
    "numbers_among_the_pixels": Architecture(
        numbers_among_the_pixels, None, "no layer with weights sees an image alone"
    ),
    "difference_of_two_images": Architecture(difference_of_two_images, None, "'change' (Subtract) takes in 'after'"),
    "sub_model_of_both": Architecture(sub_model_of_both, 6),
    "unstacked_and_stacked": Architecture(unstacked_and_stacked, 5),
    "slices_in_another_order": Architecture(slices_in_another_order, 6),
    "any_number_of_images": Architecture(any_number_of_images, 6, wiring=Wiring(max_images=5)),
    "einsum_over_images": Architecture(einsum_over_images, 6),
    "category_by_embedding": Architecture(category_by_embedding, 6),
    "recurrent_over_images": Architecture(recurrent_over_images, 6),
    "MobileNetV2": Architecture(application("MobileNetV2", alpha=0.35), 1280, wiring=Wiring(scale="-1..1")),
    "MobileNetV2 in its graph": Architecture(application_in_its_graph, 1280, wiring=Wiring(scale="-1..1")),
    "MobileNetV3Small": Architecture(application("MobileNetV3Small", minimalistic=True), 576),
}

HEAVY = {
    "ConvNeXtTiny": Architecture(application("ConvNeXtTiny"), 768),
    "DenseNet121": Architecture(application("DenseNet121"), 1024, wiring=Wiring(scale="imagenet")),
    "EfficientNetB0": Architecture(application("EfficientNetB0"), 1280),
    "InceptionResNetV2": Architecture(application("InceptionResNetV2", 75), 1536, wiring=Wiring(scale="-1..1")),
    "NASNetMobile": Architecture(application("NASNetMobile"), 1056, wiring=Wiring(scale="-1..1")),
    "ResNet50": Architecture(application("ResNet50"), 2048, wiring=Wiring(scale="caffe")),
    "VGG16": Architecture(application("VGG16"), 512, wiring=Wiring(scale="caffe")),
    "Xception": Architecture(application("Xception", 71), 2048, wiring=Wiring(scale="-1..1")),
}
"""Backbones that take seconds each: for `python -m tests.adopt.versions`."""
