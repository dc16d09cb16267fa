"""One training job."""

from typing import Annotated, Literal

from pydantic import Field

from scorer.settings.base import Settings
from scorer.settings.job import ImageLimits, ImageSources, Speed

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class TrainJob(Settings):
    """One training job: which listings, which target, where the bundle goes."""

    listings: str
    """Folder or S3 prefix of the partitions; or one partition; or one Parquet file."""

    target: str
    """The column to predict: a number, known for every listing used in training (rows without it are left out)."""

    bundle: str
    """Folder or S3 prefix to write the bundle to."""

    partitions: tuple[str, ...] = ()
    """Partition keys to train on; by default all."""

    features: tuple[str, ...] = ()
    """Feature columns, in order; by default every column but id, target, images and partition keys."""

    exclude: tuple[str, ...] = ()
    """Columns to leave out of the default features."""

    group: str | None = None
    """A column whose rows stay on one side of the split, besides listings that share an image."""

    near_duplicates: bool = True
    """Listings whose images look the same, though their files differ, stay on one side of the split, too."""

    name: str | None = None
    """Name of the bundle; by default the target's."""

    version: str | None = None
    """Version of the bundle; by default a digest of its content."""

    recipe: str = "small"
    """Which towers with which sizes; see `scorer.training.recipes`."""

    fusion: str = "concat"
    """How numbers and images meet; see `scorer.model.fusions`."""

    image_size: int = Field(64, ge=8, le=1024)
    """Side of the square that images are resized to, in pixels."""

    image_filter: Literal["area", "bilinear", "nearest"] = "area"
    """Filter of the resize; the bundle carries it, scoring uses the same."""

    image_decode: Literal["scaled", "full"] = "scaled"
    """JPEG decoding at the scale that is needed (fast), or in full."""

    image_scaling: Literal["0..1", "-1..1"] = "0..1"
    """What pixel values the image tower sees."""

    max_images: int = Field(8, gt=0)
    """Images used per listing, the first ones. Scoring does the same."""

    scaler: Literal["standard", "minmax"] = "standard"
    """scikit-learn scaler of the numeric features."""

    max_categories: int = Field(64, gt=0)
    """Most frequent values kept per categorical column; rarer ones count as unseen."""

    target_transform: Literal["auto", "identity", "log"] = "auto"
    """auto: log where every target is positive and the skewness is above 1."""

    augmentation: tuple[str, ...] = ("flip",)
    """Keras layers applied to the images while training; see `scorer.training.augmentation`."""

    image_dropout: Share = 0.1
    """Share of listings that train without their images, so that missing images degrade gently."""

    validation_share: Share = 0.15
    """Share of the groups that decide when to stop."""

    test_share: Share = 0.15
    """Share of the groups that the reported metrics are measured on; never trained on."""

    epochs: int = Field(60, gt=0)
    """Most passes over the training split."""

    patience: int = Field(8, gt=0)
    """Passes without a better validation loss before training stops."""

    batch_rows: int = Field(32, gt=0)
    """Listings per training step."""

    learning_rate: float = Field(1e-3, gt=0)
    """Of Adam."""

    seed: int = 0
    """Of splits, weights, shuffling and augmentation."""

    images: ImageLimits = ImageLimits()
    """Limits on each image."""

    sources: ImageSources = ImageSources()
    """Where images may come from."""

    speed: Speed = Speed()
    """Concurrency of reading the images."""
