"""A bundle from a model that was trained elsewhere."""

from typing import Annotated, Literal

from pydantic import Field

from scorer.settings.base import Settings
from scorer.settings.job import ImageLimits, ImageSources

Filter = Literal[
    "area",
    "bilinear",
    "nearest",
    "opencv-area",
    "opencv-bicubic",
    "pillow-bicubic",
    "pillow-bilinear",
    "pillow-box",
    "pillow-hamming",
    "pillow-lanczos",
]


class CreateJob(Settings):
    """One bundle from a Keras model that was trained elsewhere (`scorer bundle create`)."""

    model: str
    """The model: a .keras file of Keras 3, or the folder of a model that MLflow's Keras flavour saved."""

    bundle: str
    """Folder or S3 prefix to write the bundle to."""

    target: str
    """The column that the model predicts."""

    features: str = ""
    """The feature columns, in the order in which the model takes them, with commas between; or a .json file that also
    says which are booleans or categories. Empty: the model takes images alone."""

    scaler: str | None = None
    """The fitted scaler of the numbers: a .skops or .json file. None: the model takes them as they are."""

    resize: Filter
    """How images were brought to the model's size in training. nearest: as Keras's load_img and
    image_dataset_from_directory's "nearest"; bilinear: tf.image.resize and cv2.resize as they are by default; pillow-*:
    Pillow's resize, and load_img with an interpolation; area: as in `scorer train`."""

    scale: Literal["0..1", "-1..1", "none", "imagenet", "caffe"]
    """What the model takes of pixels of 0 to 255. imagenet: minus ImageNet's mean, over its deviation; caffe: blue,
    green, red, minus their mean; none: the model scales them itself."""

    size: int | None = Field(None, ge=1, le=4096)
    """Side of the images in pixels; by default what the model's input says."""

    decode: Literal["full", "scaled"] = "full"
    """full: as every image library decodes; scaled: JPEGs at 1/2, 1/4 or 1/8 where that is enough for the size."""

    metadata: Literal["applied", "ignored"] = "applied"
    """Whether images are turned as their EXIF data says and converted by their ICC profile. Keras's load_img and
    TensorFlow's decoders ignore both."""

    max_images: int | None = Field(None, gt=0)
    """Images per listing, for a model that takes any number of them; others say it themselves."""

    missing_images: Literal["blank", "fail"] = "blank"
    """Listings with fewer images than the model takes. blank: the model sees blank ones, and the row is degraded where
    images failed; fail: the row gets no score (status failed)."""

    blank: int = Field(0, ge=0, le=255)
    """The value of every pixel of a blank image: what training padded with. 0 is black."""

    inputs: dict[str, Literal["features", "images", "mask"]] = Field(default_factory=dict)
    """What inputs of the model take, by name, where their shape does not say it: one of rank 4 or 5 takes images, one
    of booleans or named like `mask` says which images are there, any other takes features."""

    outputs: tuple[Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,99}$")], ...] = ()
    """Names of the scores, in the order of the model's outputs; one of them must be `prediction`."""

    target_transform: Literal["identity", "log", "log1p"] = "identity"
    """What the model learned of the target, before any scaler; undone for every output."""

    target_scaler: str | None = None
    """The fitted scaler of the target (after the transform): a .skops or .json file."""

    target_sd: float | None = Field(None, ge=0)
    """Standard deviation of the target in training; by default that of its scaler, or of the examples' scores."""

    examples: str | None = None
    """Listings with images: a partition, or a Parquet file. Eight of them are kept in the bundle with their scores, and
    scored again whenever it is loaded. Without, listings are made up."""

    partition: str | None = None
    """Partition of the examples, where `examples` holds several."""

    name: str | None = None
    """Name of the bundle; by default the target's."""

    version: str | None = None
    """Version of the bundle; by default a digest of its content."""

    images: ImageLimits = ImageLimits()
    """Limits on each image of the examples."""

    sources: ImageSources = ImageSources()
    """Where the examples' images may come from."""
