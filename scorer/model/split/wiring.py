"""Which input of a model takes what of a listing: its features, its images, or which of these are there."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from scorer.errors import BundleError, SettingsError
from scorer.model.split.scales import SCALES

ROLES = ("features", "images", "mask")
MASK_NAME = re.compile(r"(^|_)(mask|present|presence)$")


@dataclass(frozen=True)
class Wiring:
    """What a model's inputs mean, as far as the model does not say so itself.

    Attributes:
        size: side of the images in pixels; None: as the model's input says.
        scale: a name in `scales.SCALES`: what the model's images are of the decoded pixels.
        max_images: images per listing, for a model that takes any number of them.
        roles: name of an input -> one of `ROLES`. By default an input of rank 4 (one image) or 5 (several) takes
            images, one of booleans or with a name like `mask` says which images are there, and any other takes
        features. blank: the value, 0 to 255, of every pixel of the image that stands where a listing has none.
    """

    size: int | None = None
    scale: str = "none"
    max_images: int | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    blank: int = 0


@dataclass(frozen=True)
class ImageInput:
    """An input that takes images: [B, S, S, 3], or stacked [B, places, S, S, 3]; `first` is the place of the first."""

    index: int
    name: str
    first: int
    places: int
    stacked: bool
    dtype: str

    @property
    def slots(self) -> tuple[int, ...]:
        """Places among a listing's images."""
        return tuple(range(self.first, self.first + self.places))


@dataclass(frozen=True)
class FeatureInput:
    """An input that takes columns of the feature matrix: `width` of them from `start` on."""

    index: int
    name: str
    start: int
    width: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class MaskInput:
    """An input that says which of the images from place `first` on are there."""

    index: int
    name: str
    first: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Wired:
    """A model's inputs with their meanings.

    Attributes:
        size: S, side of the images.
        places: K, images that a listing can have.
        width: F, columns of the feature matrix.
        scale: see `Wiring`.
        blank: see `Wiring`.
        zero_or_one: features of made-up listings are 0 or 1, as the model refuses others: a category's number beyond
            its table.
    """

    size: int
    places: int
    width: int
    scale: str
    blank: int
    images: tuple[ImageInput, ...]
    features: tuple[FeatureInput, ...]
    masks: tuple[MaskInput, ...]
    zero_or_one: bool = False

    @property
    def pixel_values(self) -> int:
        """Values of one image."""
        return self.size * self.size * 3

    def numbers(self, features: tf.Tensor, mask: tf.Tensor) -> dict[int, tf.Tensor]:
        """What the inputs that take no images get, by index.

        Args:
            features: float32 [B, F].
            mask: bool [B, K].
        """
        given = {}
        for part in self.features:
            columns = tf.reshape(features[:, part.start : part.start + part.width], [-1, *part.shape])
            # To the nearest: a category's number that came through float32 is a whole number still.
            given[part.index] = tf.cast(tf.round(columns) if "int" in part.dtype else columns, part.dtype)
        for one in self.masks:
            there = mask[:, one.first : one.first + (one.shape or (1,))[0]]
            given[one.index] = tf.cast(tf.reshape(there, [-1, *one.shape]), one.dtype)
        return given

    def pictures(self, images: tf.Tensor) -> dict[int, tf.Tensor]:
        """What the inputs that take images get, by index. `images`: uint8 [B, K, S, S, 3]."""
        given = {}
        for part in self.images:
            pixels = images[:, part.first : part.first + part.places] if part.stacked else images[:, part.first]
            given[part.index] = self.scaled(pixels, part.dtype)
        return given

    def image(self, pixels: tf.Tensor, stacked: bool, dtype: str) -> tf.Tensor:
        """uint8 [B, S, S, 3] as an input that takes one image, or a stack of one, wants it."""
        values = self.scaled(pixels, dtype)
        return values[:, None] if stacked else values

    def scaled(self, pixels: tf.Tensor, dtype: str) -> tf.Tensor:
        """uint8 [..., 3] to the values that the model was trained on."""
        return tf.cast(SCALES[self.scale](tf.cast(pixels, tf.float32)), dtype)


def wire(model: Any, wiring: Wiring) -> Wired:
    """Find out what each input of a model takes.

    Args:
        model: functional or sequential.
        wiring: what the model does not say.

    Raises:
        BundleError: the model takes something that no listing has; the message names the input.
        SettingsError: the wiring contradicts the model, or lacks something.
    """
    if wiring.scale not in SCALES:
        raise SettingsError(f"Unknown scale {wiring.scale!r}. Known: {', '.join(SCALES)}. No bundle was written.")
    tensors = list(model.inputs)
    roles = _roles(tensors, wiring.roles)
    images = _images([(index, tensors[index]) for index, role in roles.items() if role == "images"], wiring)
    places = sum(image.places for image in images)
    features: list[FeatureInput] = []
    for index in (index for index, role in roles.items() if role == "features"):
        shape = _inner_shape(tensors[index], most=1)
        start = features[-1].start + features[-1].width if features else 0
        width = shape[0] if shape else 1
        features.append(FeatureInput(index, tensors[index].name, start, width, shape, tensors[index].dtype))
    masks = [(index, tensors[index]) for index, role in roles.items() if role == "mask"]
    return Wired(
        size=_size(tensors, images, wiring),
        places=places,
        width=sum(part.width for part in features),
        scale=wiring.scale,
        blank=wiring.blank,
        images=images,
        features=tuple(features),
        masks=_masks(masks, images, places),
    )


def _roles(tensors: Sequence[Any], given: Mapping[str, str]) -> dict[int, str]:
    names = [tensor.name for tensor in tensors]
    if unknown := [name for name in given if name not in names]:
        raise SettingsError(
            f"The model has no input {unknown[0]!r}. It has: {', '.join(names)}. No bundle was written."
        )
    if wrong := [role for role in given.values() if role not in ROLES]:
        raise SettingsError(f"An input cannot be {wrong[0]!r}. Known: {', '.join(ROLES)}. No bundle was written.")
    return {index: given.get(tensor.name) or _role(tensor) for index, tensor in enumerate(tensors)}


def _role(tensor: Any) -> str:
    if len(tensor.shape) >= 4:
        return "images"
    return "mask" if tensor.dtype == "bool" or MASK_NAME.search(tensor.name) else "features"


def _images(inputs: Sequence[tuple[int, Any]], wiring: Wiring) -> tuple[ImageInput, ...]:
    if not inputs:
        raise BundleError(
            "The model has no input that takes images: one of shape [size, size, 3], or [images, size, size, 3]."
            " No bundle was written."
        )
    found: list[ImageInput] = []
    for index, tensor in inputs:
        shape = tuple(tensor.shape)[1:]
        if len(shape) not in (3, 4) or shape[-1] != 3 or shape[-3] != shape[-2]:
            raise BundleError(
                f"The input {tensor.name!r} takes {list(shape)}; images are squares of three colours, [size, size, 3],"
                " or several of them, [images, size, size, 3]. No bundle was written."
            )
        stacked = len(shape) == 4
        places = (shape[0] or _asked_for(tensor, wiring)) if stacked else 1
        first = found[-1].first + found[-1].places if found else 0
        found.append(ImageInput(index, tensor.name, first, places, stacked, tensor.dtype))
    return tuple(found)


def _asked_for(tensor: Any, wiring: Wiring) -> int:
    if wiring.max_images is None:
        raise SettingsError(
            f"The input {tensor.name!r} takes any number of images: say by max_images how many a listing's row had in"
            " training, padding included. No bundle was written."
        )
    return wiring.max_images


def _size(tensors: Sequence[Any], images: Sequence[ImageInput], wiring: Wiring) -> int:
    sizes = {tensors[image.index].shape[-2] for image in images} - {None}
    if wiring.size is not None:
        sizes.add(wiring.size)
    if len(sizes) != 1:
        found = " and ".join(str(size) for size in sorted(sizes)) or "any"
        raise SettingsError(
            f"The model takes images of {found} pixels a side; a bundle has one size: give the one that it was trained"
            " on by size. No bundle was written."
        )
    return int(sizes.pop())


def _masks(masks: Sequence[tuple[int, Any]], images: Sequence[ImageInput], places: int) -> tuple[MaskInput, ...]:
    """One mask for all images, or one for each input of images."""
    shapes = [_inner_shape(tensor, most=1, free=places) for _, tensor in masks]
    widths = [shape[0] if shape else 1 for shape in shapes]
    if widths == [places]:
        firsts = [0]
    elif widths == [image.places for image in images]:
        firsts = [image.first for image in images]
    elif not masks:
        firsts = []
    else:
        shown = ", ".join(f"{tensor.name!r} for {width}" for (_, tensor), width in zip(masks, widths, strict=True))
        raise SettingsError(
            f"The model has {places} images and masks of them that do not fit: {shown}. There may be one for all images"
            " or one for each input of images; if an input is none of that, say so by roles. No bundle was written."
        )
    return tuple(
        MaskInput(index, tensor.name, first, shape, tensor.dtype)
        for (index, tensor), first, shape in zip(masks, firsts, shapes, strict=True)
    )


def _inner_shape(tensor: Any, most: int, free: int | None = None) -> tuple[int, ...]:
    """Of one row. `free` stands for a size that the model leaves open."""
    shape: tuple[Any, ...] = tuple(free if side is None else side for side in tuple(tensor.shape)[1:])
    if len(shape) > most or None in shape or tensor.dtype == "string":
        raise BundleError(
            f"The input {tensor.name!r} takes {list(tensor.shape[1:])} of {tensor.dtype}; a listing has numbers: one"
            " vector of them for each input. No bundle was written."
        )
    return shape
