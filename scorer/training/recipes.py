"""Which towers with which sizes, by name; and what a job makes of them."""

from dataclasses import dataclass, replace

from scorer.intake.pixels import PixelSpec
from scorer.model.fusions import FUSIONS, LATE_GATE
from scorer.model.recipe import Recipe
from scorer.model.tables import choose
from scorer.settings import TrainJob

EVERY = "all"
"""In place of a fusion: try each, and take the best."""

RECIPES: dict[str, Recipe] = {
    "lite0": Recipe(
        image_tower="lite0",
        filters=(),
        embedding=0,
        number_tower="dense",
        numbers=(64, 32),
        head=(64,),
        size=224,
        fusion="late_gate",
        weights="imagenet",
        trained_stages=0,
    ),
    "small": Recipe(
        image_tower="convolutions",
        filters=(32, 64),
        embedding=64,
        number_tower="dense",
        numbers=(64, 32),
        head=(128, 64),
    ),
}


@dataclass(frozen=True)
class Design:
    """What is built: the recipe with what the job says instead.

    Attributes:
        recipe: towers and sizes.
        fusion: a name in `FUSIONS`.
        pixels: how images are decoded.
    """

    recipe: Recipe
    fusion: str
    pixels: PixelSpec

    @property
    def frozen(self) -> bool:
        """Whether the image tower stays as it is, so that its embeddings can be computed once."""
        return self.recipe.trained_stages == 0

    @property
    def quick(self) -> bool:
        """Whether one more fit takes seconds, once the images are embedded: no net is trained on them."""
        return self.frozen and self.fusion == LATE_GATE


def design_of(job: TrainJob) -> Design:
    """The recipe and the job's changes to it; of all fusions the recipe's own, as the one to begin with.

    Raises:
        SettingsError: a name that no table has.
    """
    recipe = choose(RECIPES, "recipe", job.recipe)
    choose({**FUSIONS, EVERY: None}, "fusion", job.fusion or recipe.fusion)
    fusion = recipe.fusion if job.fusion in (None, EVERY) else job.fusion
    stages = recipe.trained_stages if job.trained_stages is None else job.trained_stages
    recipe = replace(recipe, weights=job.image_weights or recipe.weights, trained_stages=stages)
    pixels = PixelSpec(job.image_size or recipe.size, job.image_filter, job.image_decode, job.image_scaling)
    return Design(recipe, fusion, pixels)
