"""What MLflow imports to load such a folder: `mlflow.pyfunc.load_model(folder).predict(frame)`."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from scorer.errors import ContractError
from scorer.intake.batches import Request
from scorer.intake.dataset import ImagePipeline
from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.intake.rows import IMAGES, ImageTable, image_table
from scorer.model.bundle import load_bundle
from scorer.model.predictor import Floats, Predictor
from scorer.model.preprocessing import Feature
from scorer.objectstore import ObjectStore, canonical, parse
from scorer.settings import ImageLimits, Speed
from scorer.telemetry import Stages

ROOTS = "SCORER_IMAGE_ROOTS"
"""Environment: folders and S3 prefixes that images may come from, comma-separated; relative URIs start from the first.

By default the working folder alone. A served model is asked by strangers, who name the images.
"""

BATCH_IMAGES = 32
BATCH_ROWS = 256


def _load_pyfunc(path: str) -> "ScorerModel":
    """MLflow's entry point: the bundle below `path`, its digests checked, its golden rows scored."""
    return ScorerModel(path)


class ScorerModel:
    """A bundle behind the interface that MLflow calls."""

    def __init__(self, path: str) -> None:
        """Load. Raises BundleError: the bundle was changed, or does not score here as it did in training."""
        self._store = ObjectStore()
        self._bundle = load_bundle(path, self._store)
        self._predictor = Predictor(self._bundle, batch_images=BATCH_IMAGES, batch_rows=BATCH_ROWS)

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score listings, as a run of the job would.

        Args:
            model_input: one row a listing: the features, and `image_uris` with a list of URIs (or none).
            params: none are known.

        Returns:
            A row for each: the bundle's outputs in the target's unit, the number of images that were used, and the
            reasons for which the row is degraded, separated by blanks.

        Raises:
            ContractError: a feature is absent or of another kind.
            StoreUnreachable: the store of the images is down.
        """
        rows = self._rows(model_input)
        features, gaps = self._bundle.preprocessing.transform(rows)
        images = image_table(rows.column(IMAGES), self._bundle.max_images)
        embeddings, faults = self._embedded(images)
        index = images.index.copy()
        index[np.isin(index, list(faults))] = -1
        scores = self._predictor.heads(features, embeddings, index)
        reasons = dict(gaps) | {"no_images": images.given == 0}
        for reason in sorted(set(faults.values())):
            bad = [position for position, found in faults.items() if found == reason]
            reasons[reason] = np.isin(images.index, bad).any(axis=1)
        told = [" ".join(name for name, mask in reasons.items() if mask[row]) for row in range(rows.num_rows)]
        used = (index >= 0).sum(axis=1).astype(np.int64)
        return pd.DataFrame({**scores, "images_used": used, "reasons": told}, index=model_input.index)

    def _rows(self, frame: pd.DataFrame) -> pa.RecordBatch:
        """The frame's columns as a night's files would hold them."""
        absent = [name for name in self._bundle.preprocessing.names if name not in frame.columns]
        if absent:
            raise ContractError(f"The listings lack the features {', '.join(absent)}. Nothing was scored.")
        columns = {
            feature.name: _column(frame[feature.name], feature) for feature in self._bundle.preprocessing.features
        }
        uris = frame[IMAGES] if IMAGES in frame.columns else [None] * len(frame)
        columns[IMAGES] = pa.array([_uris(value) for value in uris], pa.list_(pa.string()))
        return pa.RecordBatch.from_pydict(columns)

    def _embedded(self, images: ImageTable) -> tuple[Floats, dict[int, str]]:
        """Embeddings of the distinct images, float32 [U, D], and why some of them cannot be used."""
        embeddings = np.zeros((len(images.uris), self._bundle.embedding_size), np.float32)
        faults: dict[int, str] = {}
        speed, limits = Speed(), ImageLimits()
        with Fetcher(self._store, limits, speed.fetch_concurrency) as fetcher:
            pipeline = ImagePipeline(
                fetcher,
                image_places(),
                self._bundle.pixels,
                limits,
                speed,
                Stages(),
                BATCH_IMAGES,
                self._predictor.embed,
                self._predictor.passes,
            )
            for batch in pipeline.run(_requests(images.uris)):
                first = batch.request.first
                faults |= {first + position: fault.reason for position, fault in batch.faults.items()}
                if batch.embeddings is not None:
                    embeddings[first : first + len(batch.embeddings)] = batch.embeddings
        return embeddings, faults


def image_places(roots: str | None = None) -> ImagePlaces:
    """Where images may come from, by the environment."""
    text = os.environ.get(ROOTS, "") if roots is None else roots
    places = [canonical(root.strip()) for root in text.split(",") if root.strip()] or [canonical(os.getcwd())]
    buckets = {parse(place).bucket for place in places} - {None}
    folders = tuple(place for place in places if parse(place).bucket is None)
    return ImagePlaces(places[0], frozenset(bucket for bucket in buckets if bucket), folders)


def _requests(uris: list[str]) -> Iterator[Request]:
    for first in range(0, len(uris), BATCH_IMAGES):
        yield Request(None, first, uris[first : first + BATCH_IMAGES], last=first + BATCH_IMAGES >= len(uris))


def _column(values: "pd.Series[Any]", feature: Feature) -> pa.Array:
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ContractError(
            f"Feature {feature.name!r} holds what is no {feature.kind}: {error}. Nothing was scored."
        ) from None


def _uris(value: Any) -> list[str]:
    """A cell as a list of URIs: a list, an array, one text, or nothing."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple | np.ndarray):
        return [str(uri) for uri in value if uri is not None]
    return []
