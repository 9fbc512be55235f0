"""GoogLeNet (Inception v1): facts and network, as torchvision published it.

The paper's network with a batch norm after every convolution and no local response normalisation.
Two things of torchvision's are kept, since its weights need them: the branch that the paper calls
5 × 5 convolves 3 × 3, and the classifiers beside the trunk, which only training uses, are left out.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from vista_sql.roster import Cnn, Network, TorchNames
from vista_sql.roster.parts.published import tf_mode, torchvision

Tensor: TypeAlias = Any

# Filters per module, the paper's table 1: 1 × 1, 3 × 3 reduced, 3 × 3, 5 × 5 reduced, 5 × 5, pool.
_MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}

# Parts of a module as torchvision names them, in the order of the columns above.
_PARTS = {
    "1x1": "branch1",
    "3x3_reduce": "branch2.0",
    "3x3": "branch2.1",
    "5x5_reduce": "branch3.0",
    "5x5": "branch3.1",
    "pool_proj": "branch4.1",
}

_PIXELS = tf_mode(
    "torchvision, GoogLeNet_Weights.IMAGENET1K_V1: transform_input turns ImageNet's mean and "
    "deviation into 0.5 and 0.5"
)


def _build() -> Network:
    import keras
    from keras import layers

    def convolve(x: Tensor, filters: int, size: int, name: str, stride: int = 1) -> Tensor:
        if stride > 1:  # torch pads both sides alike, Keras's "same" more at the end if it strides
            x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
        padding = "valid" if stride > 1 else "same"
        x = layers.Conv2D(
            filters, size, strides=stride, padding=padding, use_bias=False, name=f"{name}_conv"
        )(x)
        x = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x)
        return layers.Activation("relu", name=f"{name}_relu")(x)

    def pool(x: Tensor, size: int, name: str, stride: int = 2) -> Tensor:
        # "same" takes a last, partial window, as the paper's and torchvision's rounding up does
        return layers.MaxPooling2D(size, strides=stride, padding="same", name=name)(x)

    def inception(x: Tensor, name: str) -> Tensor:
        filters = dict(zip(_PARTS, _MODULES[name], strict=True))
        prefix = f"inception_{name}"

        def part(x: Tensor, which: str, size: int) -> Tensor:
            return convolve(x, filters[which], size, f"{prefix}_{which}")

        branches = [
            part(x, "1x1", 1),
            part(part(x, "3x3_reduce", 1), "3x3", 3),
            part(part(x, "5x5_reduce", 1), "5x5", 3),
            part(pool(x, 3, f"{prefix}_pool", stride=1), "pool_proj", 1),
        ]
        return layers.Concatenate(name=prefix)(branches)

    image = keras.Input((224, 224, 3))
    x = convolve(image, 64, 7, "conv1", stride=2)
    x = pool(x, 3, "pool1")
    x = convolve(x, 64, 1, "conv2_reduce")
    x = convolve(x, 192, 3, "conv2")
    x = pool(x, 3, "pool2")
    for name in _MODULES:
        x = inception(x, name)
        if name == "3b":
            x = pool(x, 3, "pool3")
        elif name == "4e":
            x = pool(x, 2, "pool4")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dense(1000, name="fc1000")(x)
    x = layers.Activation("softmax", name="predictions")(x)
    return keras.Model(image, x, name="googlenet")


def _torch_names() -> TorchNames:
    places = {"conv1": "conv1", "conv2": "conv2_reduce", "conv3": "conv2"} | {
        f"inception{name}.{theirs}": f"inception_{name}_{ours}"
        for name in _MODULES
        for ours, theirs in _PARTS.items()
    }
    modules = {"fc": "fc1000"}
    for theirs, ours in places.items():
        modules |= {f"{theirs}.conv": f"{ours}_conv", f"{theirs}.bn": f"{ours}_bn"}
    return TorchNames(
        modules, unused=("aux1.", "aux2."), preprocessing=torchvision(_PIXELS, shorter_side=256)
    )


CNN = Cnn(
    name="googlenet",
    title="GoogLeNet",
    paper="Szegedy et al., Going Deeper with Convolutions, CVPR 2015, arXiv:1409.4842",
    input_shape=(224, 224, 3),
    parameters=6_639_464,
    granule=2,
    aliases={"conv1": "conv1_relu", "conv2": "conv2_relu"},
    feature_layers=("inception_4e", "inception_5a", "inception_5b", "avg_pool", "fc1000"),
    counted_layers=("inception_4e", "inception_5a", "inception_5b", "avg_pool", "fc1000"),
    preprocessing=_PIXELS,
    build=_build,
    torch_names=(_torch_names(),),
)
