"""Which towers with which sizes: what a fused model is built from, before any data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Which towers, with which sizes, and what is trained of them."""

    image_tower: str
    """A name in `scorer.model.towers.IMAGE_TOWERS`."""

    filters: tuple[int, ...]
    """Channels of the image tower's convolutions; a backbone has its own."""

    embedding: int
    """D, length of an image's embedding; 0: as long as the image tower's own."""

    number_tower: str
    """A name in `scorer.model.towers.NUMBER_TOWERS`."""

    numbers: tuple[int, ...]
    """Units of the number tower's layers."""

    head: tuple[int, ...]
    """Units of the layers between fusion and output."""

    size: int = 64
    """Side of the square images in pixels, where the job names none."""

    fusion: str = "concat"
    """A name in `scorer.model.fusions.FUSIONS`, where the job names none."""

    weights: str = "random"
    """Of the image tower to begin with: "random", "imagenet", or a file of weights that Keras saved."""

    trained_stages: int | None = None
    """Of the image tower, counted from its end; None: all of it. 0: frozen, its embeddings are computed once."""

    members: int = 5
    """Number nets that are trained from different beginnings, and averaged. On 400 houses six were 0.3 points better
    than three, and ten no better than six."""
