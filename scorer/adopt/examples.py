"""The listings that become golden rows: eight of the user's, or eight made up."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from scorer.errors import ContractError, ImageFault, InputError
from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.intake.partitions import Partition, open_partition
from scorer.intake.pixels import PixelSpec, decode_image
from scorer.intake.rows import IMAGES, image_lists, scan
from scorer.model.preprocessing import CategoryFeature, Feature, NumberFeature, Preprocessing, floats, plain
from scorer.objectstore import ObjectStore
from scorer.settings import CreateJob

WANTED = 8
LOOKED_AT = 256
"""Rows that are looked at for eight with images that can be used."""


@dataclass(frozen=True)
class Example:
    """A listing.

    Attributes:
        features: by name, as JSON knows them.
        images: the files' bytes, those that can be used.
    """

    features: Mapping[str, Any]
    images: tuple[bytes, ...]


def read_examples(
    job: CreateJob, preprocessing: Preprocessing, spec: PixelSpec, places: int, store: ObjectStore
) -> list[Example]:
    """Up to eight listings, those with most images first, and one without any.

    Args:
        job: where they are.
        preprocessing: their features.
        spec: images that do not decode by it are left out.
        places: images that the model takes.
        store: where they are read from.

    Raises:
        InputError: there is none, or none with an image that can be used.
        ContractError: a feature is absent or of another kind.
    """
    assert job.examples is not None
    partition = open_partition(job.examples, job.partition, store)
    if partition is None:
        raise InputError(f"No Parquet file at {job.examples} {job.partition or ''}. No bundle was written.")
    rows = _first_rows(partition, preprocessing, store)
    named = image_lists(rows.column(IMAGES))
    order = sorted(range(len(named)), key=lambda row: -min(len(named[row]), places))
    columns = {feature.name: _raw(feature, rows.column(feature.name)) for feature in preprocessing.features}
    found: list[Example] = []
    with Fetcher(store, job.images, 8) as fetcher:
        source = _Images(fetcher, ImagePlaces.of(partition.base, job.sources), spec, job)
        for row in order:
            images = source.usable(named[row][:places])
            if images and (job.missing_images == "blank" or len(images) == places):
                found.append(Example({name: values[row] for name, values in columns.items()}, images))
            if len(found) == WANTED:
                break
    if not found:
        wanted = "an image" if job.missing_images == "blank" else f"{places} images"
        raise InputError(
            f"Not one of the first {len(named):,} listings of {partition} has {wanted} that can be used."
            " No bundle was written: there would be nothing to try it on."
        )
    return found


def made_up(preprocessing: Preprocessing, places: int, fewer: bool) -> list[Example]:
    """Eight listings of middling figures and painted images; every third lacks images where `fewer` may be."""
    random = np.random.default_rng(0)
    examples = []
    for number in range(WANTED):
        count = places if not fewer or number % 3 else places * number // (2 * WANTED)
        features = {feature.name: _invented(feature, number, random) for feature in preprocessing.features}
        examples.append(Example(features, tuple(_picture(random) for _ in range(count))))
    return examples


@dataclass(frozen=True)
class _Images:
    fetcher: Fetcher
    places: ImagePlaces
    spec: PixelSpec
    job: CreateJob

    def usable(self, uris: Sequence[str]) -> tuple[bytes, ...]:
        """The bytes of those images that decode."""
        found = []
        for uri in uris:
            try:
                data = self.fetcher.get(self.places.resolve(uri))
                decode_image(data, self.spec, self.job.images)
            except ImageFault:
                continue
            found.append(data)
        return tuple(found)


def _first_rows(partition: Partition, preprocessing: Preprocessing, store: ObjectStore) -> pa.Table:
    columns = [IMAGES, *preprocessing.names]
    batches, number = [], 0
    try:
        for _, _, batch in scan(partition, columns, store):
            preprocessing.check(batch.schema, str(partition))
            if IMAGES not in batch.schema.names:
                raise ContractError(f"{partition} has no column {IMAGES!r}. No bundle was written.")
            batches.append(batch.slice(0, LOOKED_AT - number))
            number += batches[-1].num_rows
            if number >= LOOKED_AT:
                break
    except KeyError as error:
        raise ContractError(f"{partition} has no column {error}. No bundle was written.") from None
    if not number:
        raise InputError(f"{partition} has no rows. No bundle was written.")
    return pa.Table.from_batches(batches).combine_chunks()


def _raw(feature: Feature, column: pa.ChunkedArray) -> Sequence[Any]:
    """The values as JSON knows them; None where the number is no number."""
    values = plain(column.combine_chunks())
    if feature.kind != "number":
        return list(values.to_pylist())
    return [float(value) if np.isfinite(value) else None for value in floats(values)]


def _invented(feature: Feature, number: int, random: np.random.Generator) -> Any:
    if isinstance(feature, NumberFeature):
        return float(np.float32(feature.fill + feature.scale * random.normal() * 0.5))
    if isinstance(feature, CategoryFeature):
        return feature.values[number % len(feature.values)] if feature.values else None
    return bool(number % 2)


def _picture(random: np.random.Generator) -> bytes:
    """A few soft blots: what a photograph looks like from far away."""
    coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()
