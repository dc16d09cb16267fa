from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.errors import SettingsError
from scorer.intake.pixels import PixelSpec, decode_image
from scorer.model.backbones import lite0
from scorer.settings import ImageLimits

PHOTOS = Path(sklearn.datasets.__file__).parent / "images"
"""Two photographs that come with scikit-learn: a dahlia, and the Summer Palace in Beijing."""


def probabilities(photo: str) -> np.ndarray:
    """Of ImageNet's 1,000 classes, by our pixels, our net and the checkpoint's own classifier."""
    pixels = decode_image((PHOTOS / photo).read_bytes(), PixelSpec(size=224), ImageLimits())
    embedding = lite0.build(224, "imagenet").predict(pixels[None], verbose=0)[0].astype(np.float64)
    tensors = lite0.checkpoint()
    scores = tensors["_fc.weight"] @ embedding + tensors["_fc.bias"]
    shares = np.exp(scores - scores.max())
    return np.asarray(shares / shares.sum())


@pytest.mark.parametrize(("photo", "classes"), [("flower.jpg", {985}), ("china.jpg", {442, 663, 698, 832})])
def test_the_weights_recognise_what_they_were_trained_on(photo: str, classes: set[int]) -> None:
    # 985 daisy; 442 bell cote, 663 monastery, 698 palace, 832 stupa. By chance it would be one class in a thousand.
    shares = probabilities(photo)
    assert int(shares.argmax()) in classes
    assert shares[sorted(classes)].sum() > 0.1


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99), kernel=st.sampled_from([1, 3]))
def test_normalisation_is_folded_into_the_convolution_before_it(seed: int, kernel: int) -> None:
    random = np.random.default_rng(seed)
    weight = random.normal(size=(5, 4, kernel, kernel)).astype(np.float32)
    statistics = {name: random.uniform(0.5, 2, 5).astype(np.float32) for name in ("weight", "bias", "running_mean")}
    statistics["running_var"] = random.uniform(0.5, 2, 5).astype(np.float32)
    tensors = {"c.weight": weight, **{f"n.{name}": values for name, values in statistics.items()}}
    folded, bias = lite0._folded(tensors, "c", "n")
    patch = random.normal(size=(kernel, kernel, 4))
    convolved = np.einsum("hwi,oihw->o", patch, weight)
    deviation = np.sqrt(statistics["running_var"] + lite0.EPSILON)
    expected = (convolved - statistics["running_mean"]) / deviation * statistics["weight"] + statistics["bias"]
    np.testing.assert_allclose(np.einsum("hwi,hwio->o", patch, folded) + bias, expected, rtol=1e-4, atol=1e-4)


def test_every_layer_with_weights_gets_those_of_the_checkpoint() -> None:
    tower = lite0.build(32, "random")
    ours = {layer.name for layer in tower.layers if layer.weights}
    assert ours == {name for name, _ in lite0.imagenet()}
    assert tower.count_params() == 3_350_000
    assert tower.output_shape == (None, 1280)


def test_other_weights_are_refused() -> None:
    with pytest.raises(SettingsError, match="lite0 has imagenet and random, not 'places'"):
        lite0.build(32, "places")
