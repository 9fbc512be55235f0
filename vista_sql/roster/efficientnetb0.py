"""EfficientNetB0: facts and network.

Built here and not by keras.applications, which adds the last scaling of pixels only while it
downloads the weights, and numbers the scaling layers through the whole process.
"""

from __future__ import annotations

from math import sqrt
from typing import Any, NamedTuple, TypeAlias

from vista_sql.roster import Cnn, Network, WeightsFile
from vista_sql.roster.parts.published import as_they_are

Tensor: TypeAlias = Any


class _Stage(NamedTuple):
    """A row of the paper's table 1."""

    repeats: int
    size: int  # of the depthwise kernel
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)

# keras/src/applications/efficientnet.py: what the published weights were trained to undo
_PIXEL_SCALE = [1 / sqrt(deviation) for deviation in (0.229, 0.224, 0.225)]


def _build() -> Network:
    import keras
    from keras import layers

    def normal(x: Tensor, name: str) -> Tensor:
        return layers.BatchNormalization(axis=3, name=name)(x)

    def swish(x: Tensor, name: str) -> Tensor:
        return layers.Activation("swish", name=name)(x)

    def project(x: Tensor, filters: int, name: str) -> Tensor:
        return layers.Conv2D(filters, 1, padding="same", use_bias=False, name=name)(x)

    def pad(x: Tensor, size: int, name: str) -> Tensor:
        """Pad for a stride of 2, as imagenet_utils.correct_pad does."""
        half = size // 2
        before = half - 1 + x.shape[1] % 2
        return layers.ZeroPadding2D(((before, half), (before, half)), name=name)(x)

    def squeeze(x: Tensor, filters: int, reduced: int, name: str) -> Tensor:
        s = layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(x)
        s = layers.Reshape((1, 1, filters), name=f"{name}se_reshape")(s)
        s = layers.Conv2D(reduced, 1, padding="same", activation="swish", name=f"{name}se_reduce")(
            s
        )
        s = layers.Conv2D(
            filters, 1, padding="same", activation="sigmoid", name=f"{name}se_expand"
        )(s)
        return layers.Multiply(name=f"{name}se_excite")([x, s])

    def block(inputs: Tensor, stage: _Stage, stride: int, name: str) -> Tensor:
        entering = inputs.shape[-1]
        filters = entering * stage.expansion
        x = inputs
        if stage.expansion != 1:
            x = normal(project(x, filters, f"{name}expand_conv"), f"{name}expand_bn")
            x = swish(x, f"{name}expand_activation")
        if stride == 2:
            x = pad(x, stage.size, f"{name}dwconv_pad")
        x = layers.DepthwiseConv2D(
            stage.size,
            strides=stride,
            padding="valid" if stride == 2 else "same",
            use_bias=False,
            name=f"{name}dwconv",
        )(x)
        x = swish(normal(x, f"{name}bn"), f"{name}activation")
        x = squeeze(x, filters, max(1, entering // 4), name)
        x = normal(project(x, stage.filters, f"{name}project_conv"), f"{name}project_bn")
        if stride == 1 and entering == stage.filters:
            x = layers.Add(name=f"{name}add")([x, inputs])
        return x

    image = keras.Input((224, 224, 3))
    x = layers.Rescaling(1 / 255, name="rescaling")(image)
    x = layers.Normalization(axis=3, name="normalization")(x)
    x = layers.Rescaling(_PIXEL_SCALE, name="rescaling_1")(x)
    x = pad(x, 3, "stem_conv_pad")
    x = layers.Conv2D(32, 3, strides=2, use_bias=False, name="stem_conv")(x)
    x = swish(normal(x, "stem_bn"), "stem_activation")
    for name, (stage, stride) in _blocks().items():
        x = block(x, stage, stride, f"{name}_")
    x = swish(normal(project(x, 1280, "top_conv"), "top_bn"), "top_activation")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dense(1000, name="fc1000")(x)
    x = layers.Activation("softmax", name="predictions")(x)
    return keras.Model(image, x, name="efficientnetb0")


def _blocks() -> dict[str, tuple[_Stage, int]]:
    """Return Keras's names of the blocks (block1a … block7a) with their stage and stride."""
    return {
        f"block{number}{'abcd'[repeat]}": (stage, 1 if repeat else stage.stride)
        for number, stage in enumerate(_STAGES, 1)
        for repeat in range(stage.repeats)
    }


CNN = Cnn(
    name="efficientnetb0",
    title="EfficientNetB0",
    paper="Tan & Le, EfficientNet: Rethinking Model Scaling for CNNs, ICML 2019, arXiv:1905.11946",
    input_shape=(224, 224, 3),
    parameters=5_330_571,
    aliases={  # a block that repeats another ends in a sum
        name: f"{name}_project_bn" if name.endswith("a") else f"{name}_add" for name in _blocks()
    },
    feature_layers=("block5c", "block6d", "block7a", "top_activation", "avg_pool", "fc1000"),
    counted_layers=("block5c", "block6d", "block7a", "top_activation", "avg_pool", "fc1000"),
    preprocessing=as_they_are(
        "keras.applications.efficientnet: the network's first layers scale the pixels"
    ),
    build=_build,
    weights={
        # file name, place and hash: keras/src/applications/efficientnet.py
        "imagenet": WeightsFile(
            file="efficientnetb0.h5",
            url="https://storage.googleapis.com/keras-applications/efficientnetb0.h5",
            sha256=None,
            md5="902e53a9f72be733fc0bcb005b3ebbac",
        ),
    },
)
