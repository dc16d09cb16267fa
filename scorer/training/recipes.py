"""Which towers with which sizes, by name."""

from scorer.model.fused import Recipe

RECIPES: dict[str, Recipe] = {
    "small": Recipe(
        image_tower="convolutions",
        filters=(32, 64),
        embedding=64,
        number_tower="dense",
        numbers=(64, 32),
        head=(128, 64),
    ),
}
