"""How the uint8 pixels of a decoded image become what a model was trained on."""

from collections.abc import Callable, Mapping

import tensorflow as tf

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)
"""Blue, green, red, of 255."""

SCALES: Mapping[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "none": lambda values: values,
    "0..1": lambda values: values / 255.0,
    "-1..1": lambda values: values / 127.5 - 1.0,
    "imagenet": lambda values: (values / 255.0 - IMAGENET_MEAN) / IMAGENET_DEVIATION,
    "caffe": lambda values: values[..., ::-1] - CAFFE_MEAN,
}
"""By name; float32 [..., 3] of 0 to 255 in, float32 [..., 3] out. `imagenet` is the mode "torch" of
keras.applications' preprocess_input (DenseNet), `-1..1` its mode "tf" (MobileNet, Xception, Inception, ResNetV2),
`caffe` its mode of that name (VGG, ResNet), and `none` is for models that scale by themselves (EfficientNet,
MobileNetV3, ConvNeXt)."""
