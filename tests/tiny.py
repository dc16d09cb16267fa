"""A tiny bundle without training, and partitions to score with it: what the tests of runs start from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scorer.objectstore import ObjectStore, join
from scorer.settings import Job
from tests import images

SIZE = 16
MAX_IMAGES = 3
MEAN, SCALE = 200_000.0, 50_000.0
KEY = "ds=2026-11-24"
WITH_IMAGES, WITHOUT = 0.5, 2.0
"""Half of the intervals' width, in the network's scale."""
CITIES = ("Lyon", "Porto")


def make_bundle(uri: str, store: ObjectStore | None = None, seed: int = 3) -> None:
    """A fused model with random weights, saved as a bundle whose golden scores come from Keras itself."""
    import keras
    import tensorflow as tf

    from scorer.intake.pixels import PixelSpec, decode_image
    from scorer.model.bundle import BundleContent, save_bundle
    from scorer.model.freezing import freeze
    from scorer.model.fused import Recipe, build_fused
    from scorer.model.golden import GoldenRow
    from scorer.model.intervals import Band, Intervals
    from scorer.model.preprocessing import BooleanFeature, CategoryFeature, NumberFeature, Preprocessing
    from scorer.model.readout import Readout
    from scorer.model.target import TargetTransform
    from scorer.settings import ImageLimits

    keras.utils.set_random_seed(seed)
    preprocessing = Preprocessing(
        (
            NumberFeature("area", "double", fill=100.0, shift=100.0, scale=40.0, flag_missing=False),
            BooleanFeature("garden", "bool", fill=False, flag_missing=False),
            CategoryFeature("city", "string", values=CITIES, flag_missing=False),
        )
    )
    spec, target = PixelSpec(size=SIZE), TargetTransform("identity", MEAN, SCALE)
    recipe = Recipe("convolutions", (4,), 8, "dense", (8,), (8,))
    model = build_fused(preprocessing.width, SIZE, spec.scaling, recipe, "concat")
    photos = [images.jpeg(), images.GOOD["png"].make()]
    golden = []
    for number in range(8):
        row: dict[str, Any] = {"area": 60.0 + 10 * number, "garden": number % 2 == 0, "city": CITIES[number % 2]}
        files = tuple(photos[: number % 3])
        batch = pa.RecordBatch.from_pylist([row])
        pixels = np.zeros((1, MAX_IMAGES, SIZE, SIZE, 3), np.uint8)
        for position, data in enumerate(files):
            pixels[0, position] = decode_image(data, spec, ImageLimits())
        mask = np.arange(MAX_IMAGES)[None] < len(files)
        inputs = {"features": preprocessing.transform(batch)[0], "images": pixels, "mask": mask}
        score = target.inverse(model.whole.predict(inputs, verbose=0)["prediction"])
        golden.append(GoldenRow(row, files, (), {"prediction": float(score[0])}))
    tower = {"pixels": tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8)}
    head = {
        "features": tf.TensorSpec([None, preprocessing.width], tf.float32),
        "embeddings": tf.TensorSpec([None, None, recipe.embedding], tf.float32),
        "mask": tf.TensorSpec([None, None], tf.bool),
    }
    bands = tuple(
        Band(images=images, segment=None, low=-by, high=by, n=99, coverage=0.91)
        for images, by in ((True, WITH_IMAGES), (False, WITHOUT))
    )
    content = BundleContent(
        name="tiny",
        version="1",
        preprocessing=preprocessing,
        pixels=spec,
        max_images=MAX_IMAGES,
        target_column="price",
        target=target,
        target_sd=SCALE,
        image_tower=freeze(model.image_tower, tower, ["embedding"]),
        head=freeze(lambda **tensors: model.head(tensors, training=False), head),
        embedding_size=recipe.embedding,
        outputs=("prediction",),
        metrics={},
        profile={},
        training={},
        golden=tuple(golden),
        readout=Readout(intervals={"prediction": Intervals(level=0.9, bands=bands)}),
    )
    save_bundle(content, uri, store or ObjectStore())


def listing(number: int, **changes: Any) -> dict[str, Any]:
    """One row that scores without a flaw; `changes` spoil it."""
    row = {
        "listing_id": f"home-{number}",
        "area": 50.0 + number % 90,
        "garden": number % 3 == 0,
        "city": CITIES[number % 2],
        "price": 1.0,
        "image_uris": [f"img/{(number + k) % 7}.jpg" for k in range(1 + number % 3)],
    }
    return row | changes


SCHEMA = pa.schema(
    {
        "listing_id": pa.string(),
        "area": pa.float64(),
        "garden": pa.bool_(),
        "city": pa.string(),
        "price": pa.float64(),
        "image_uris": pa.list_(pa.string()),
    }
)


@dataclass(frozen=True)
class Market:
    """Listings, images and places of one job below a root, local or in S3."""

    root: str
    bundle: str
    store: ObjectStore = field(default_factory=ObjectStore)

    @property
    def listings(self) -> str:
        return join(self.root, "listings")

    def job(self, **settings: Any) -> Job:
        """The plain job on the one partition. Its gates only warn: most tests spoil their few rows on purpose."""
        places = {"listings": self.listings, "bundle": self.bundle, "predictions": join(self.root, "predictions")}
        return Job.model_validate({"partition": KEY, "gates": {"enforce": False}, **places, **settings})

    def write(self, rows: Sequence[Mapping[str, Any]], name: str = "a.parquet", key: str = KEY, **options: Any) -> None:
        """Rows as one file of a partition."""
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), sink, **options)
        self.store.put(join(self.listings, key, name), sink.getvalue().to_pybytes())

    def write_images(self, files: Mapping[str, bytes] | None = None) -> None:
        """Image files below the listings; by default the seven that `listing` names."""
        photos = files or {f"img/{n}.jpg": data for n, data in enumerate(images.photographs(7, width=90, height=60))}
        for name, data in photos.items():
            self.store.put(join(self.listings, name), data)

    def read(self, what: str = "predictions", key: str = KEY) -> pa.Table:
        """What a reader finds who lists the partition."""
        tables = []
        for info in self.store.list_all(join(self.root, what, key)):
            with self.store.open(info.uri) as handle:
                tables.append(pq.read_table(handle))
        return pa.concat_tables(tables)


def local_market(folder: Path, bundle: str, rows: int = 20) -> Market:
    """A market of good listings on local files."""
    market = Market(str(folder), bundle)
    market.write_images()
    market.write([listing(number) for number in range(rows)])
    return market
