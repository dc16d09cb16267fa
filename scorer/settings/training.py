"""One training job."""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from scorer.settings.base import Settings
from scorer.settings.job import ImageLimits, ImageSources, Speed

Share = Annotated[float, Field(ge=0.0, lt=1.0)]

OUTPUT_NAME = re.compile("[a-z][a-z0-9_]{0,99}")
TAKEN = frozenset({"prediction", "low", "high", "class"})
"""Names that no further output may have; see `scorer.model.readout`."""


class TrainJob(Settings):
    """One training job: which listings, which target, where the bundle goes."""

    listings: str
    """Folder or S3 prefix of the partitions; or one partition; or one Parquet file; or an Iceberg table,
    iceberg:CATALOG.NAMESPACE.TABLE, with @SNAPSHOT as it was."""

    target: str
    """The column to predict: a number, or a text or boolean that names a class. Rows without it are left out."""

    further_targets: tuple[str, ...] = ()
    """Further columns of numbers that the same bundle predicts, as prediction_NAME. No default features. Rows without
    one of them are left out, too."""

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

    time_column: str | None = None
    """A column, or the name of a partition key, that says when each listing was: the latest are the test, and nothing
    later is learned from. No default feature. Listings without a value count as the earliest."""

    near_duplicates: bool = True
    """Listings whose images look the same, though their files differ, stay on one side of the split, too."""

    name: str | None = None
    """Name of the bundle; by default the target's."""

    version: str | None = None
    """Version of the bundle; by default a digest of its content."""

    recipe: str = "lite0"
    """Which towers with which sizes: lite0 has learned from ImageNet and stays as it is; small learns from nothing."""

    fusion: str | None = None
    """How numbers and images meet; by default the recipe's. all: each is tried by cross-validation on the listings that
    are learned from, and the best is taken. See `scorer.model.fusions`."""

    image_weights: str | None = None
    """What the image tower begins with: random, imagenet or a file that Keras saved; by default the recipe's."""

    trained_stages: int | None = Field(None, ge=0)
    """Stages of the image tower that are trained, the last ones; 0: none, its embeddings are computed once. By default
    the recipe's."""

    tower_learning_rate: float = Field(1e-4, gt=0)
    """Of the stages of an image tower that came with weights; everything else goes by `learning_rate`."""

    training_precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Arithmetic of an image tower while it is trained. The bundle's is float32."""

    image_size: int | None = Field(None, ge=8, le=1024)
    """Side of the square that images are resized to, in pixels; by default the recipe's."""

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

    categories: tuple[str, ...] = ()
    """Columns of whole numbers that name something, as ZIP codes do: each value is a category."""

    prefixes: dict[str, int] = Field(default_factory=dict)
    """Column to number of characters: these beginnings of its values are categories, too; 0 for none. By default the
    beginnings of codes of digits, as ZIP codes are: all but the last two."""

    logarithms: bool = True
    """Whether numbers that are never negative come with their logarithm."""

    target_transform: Literal["auto", "identity", "log"] = "auto"
    """auto: log where every target is positive and the skewness is above 1."""

    correction: Literal["none", "smearing", "shift"] = "none"
    """Under a logarithm: one factor on all predictions, fitted out of fold. none tells about medians; smearing makes
    predictions add up to the truths; shift makes their mean percentage error smallest: it tells less."""

    task: Literal["auto", "regression", "classification"] = "auto"
    """What the target is. auto: a text or a boolean names a class, a number is one. classification: whole numbers name
    classes, too."""

    class_weight: Literal["none", "balanced"] = "none"
    """balanced: every class counts alike while nets are fitted, however few listings it has. Probabilities are brought
    back to what the listings are."""

    loss: Literal["auto", "mse", "mae", "huber", "quantile"] = "auto"
    """What is made small; of classes always the log loss. mse: squares, for means. mae: absolute errors, for medians.
    huber, and auto: squares of small errors, sizes of large ones. quantile: predictions that so large a share of the
    truths lies below."""

    quantile: float | None = Field(None, gt=0, lt=1)
    """The share that `loss` quantile is about, for instance 0.9."""

    weight: str | None = None
    """A column of numbers, zero or more, that say what each listing counts, in training and in the metrics. No default
    feature."""

    interval: float = Field(0.9, ge=0, lt=1)
    """Share of the truths that prediction_low to prediction_high shall hold. 0: no intervals."""

    interval_by: str | None = None
    """A boolean or text feature: each of its values with 200 listings or more has intervals of its own."""

    augmentation: tuple[str, ...] = ("flip",)
    """Keras layers applied to the images while an image tower is trained; see `scorer.training.augmentation`."""

    image_dropout: Share = 0.1
    """Share of listings that train without their images, so that missing images degrade gently."""

    validation_share: Share = 0.15
    """Share of the groups that decide when a net with images stops."""

    test_share: Share = 0.15
    """Share of the groups that the reported metrics are measured on; never trained on."""

    cross_validate: Annotated[str, Field(pattern="^([2-9]|[1-9][0-9])x[1-9][0-9]?$")] | None = None
    """Folds x repetitions, for instance 5x3: fit everything that the model is compared with so often, and predict each
    listing by models that have not seen it. By default only the test listings are."""

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

    state: str | None = None
    """A folder of this machine for decoded images, embeddings and checkpoints: the same training, stopped and started
    again, goes on from there. Emptied when the bundle is written. By default nothing is kept."""

    tensorboard: str | None = None
    """A folder of this machine for TensorBoard's event files, one for each net; by default none is written."""

    images: ImageLimits = ImageLimits()
    """Limits on each image."""

    sources: ImageSources = ImageSources()
    """Where images may come from."""

    speed: Speed = Speed()
    """Concurrency of reading the images."""

    @model_validator(mode="after")
    def _further_targets_make_sense(self) -> "TrainJob":
        names = self.further_targets
        ends = {f"{name}_{end}" for name in names for end in ("low", "high")}
        for name in names:
            if not OUTPUT_NAME.fullmatch(name) or name in TAKEN | ends:
                raise ValueError(
                    f"further_targets: prediction_{name} cannot be a column of the predictions. A name has lower-case"
                    f" letters, digits and underscores, begins with a letter and is none of"
                    f" {', '.join(sorted(TAKEN | ends))}; give the column such a name"
                )
        if len({self.target, *names}) <= len(names):
            raise ValueError("target and further_targets must be different columns")
        refused = {"task": self.task == "classification", "class_weight": self.class_weight != "none"}
        refused |= {"cross_validate": self.cross_validate is not None, "fusion all": self.fusion == "all"}
        if names and (given := [name for name, there in refused.items() if there]):
            raise ValueError(f"{', '.join(given)}: for one target; further_targets names {len(names)} more")
        return self

    @model_validator(mode="after")
    def _loss_makes_sense(self) -> "TrainJob":
        if (self.loss == "quantile") != (self.quantile is not None):
            raise ValueError("loss quantile and a value of quantile belong together")
        if self.loss == "quantile" and self.correction != "none":
            raise ValueError("correction moves a prediction away from the quantile that loss asks for")
        return self
