"""What the residual networks share: the kinds of network, and the names of their layers."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from vista_sql.roster import Network, Preprocessing, TorchNames
from vista_sql.roster.parts.published import timm, torchvision

Tensor: TypeAlias = Any

PAPER = "He et al., Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385"

Blocks: TypeAlias = tuple[int, int, int, int]
"""Residual blocks in conv2 … conv5: a column of the paper's table 1."""

BASIC, BOTTLENECK = (3, 3), (1, 3, 1)
"""Sides of the convolutions in a block: figure 5 of the paper, left and right."""

BOTTLENECKS_DIFFER = (
    "it is Keras's network, with the stride in the first 1 × 1 convolution of a block and "
    "biases in every convolution; timm's and torchvision's has the stride in the 3 × 3 convolution"
)


def aliases(blocks: Blocks, conv1: str = "conv1_relu") -> dict[str, str]:
    """Return the paper's names (conv2_1 is the first block's result) and Vista's fc6."""
    return (
        {"conv1": conv1, "pool1": "pool1_pool"}
        | {
            f"conv{stage}_{block}": f"conv{stage}_block{block}_out"
            for stage, count in enumerate(blocks, 2)
            for block in range(1, count + 1)
        }
        | {"fc6": "fc1000"}
    )


def last_blocks(blocks: Blocks) -> tuple[str, ...]:
    """Return the last block of conv4 and all of conv5, as the Vista paper takes of ResNet50."""
    return (f"conv4_{blocks[2]}", *(f"conv5_{block + 1}" for block in range(blocks[3])))


def keras_network(application: str, name: str) -> Network:
    """Build the network of keras.applications with the logits as a layer of their own."""
    import keras

    build = getattr(keras.applications, application)
    base = build(include_top=False, weights=None, input_shape=(224, 224, 3))
    unnamed = [layer for layer in base.layers if layer.name.startswith("max_pooling2d")]
    for stage, layer in enumerate(unnamed, 2):  # ResNetV2's shortcuts at the end of a stage
        layer.name = f"conv{stage}_shortcut_pool"  # Keras numbers them, through the whole process
    return _with_top(base.input, base.output, name)


def torch_network(blocks: Blocks, sizes: tuple[int, ...], name: str) -> Network:
    """Build torchvision's and timm's network, to the bit.

    A bottleneck's last convolution has four times the channels of the others. The stride of a stage
    is in its first 3 × 3 convolution; a block that changes the number of channels has a 1 × 1
    convolution as its shortcut (the paper's option B). Layers are named as Keras names its own.
    """
    import keras
    from keras import layers

    def normal(x: Tensor, name: str) -> Tensor:
        return layers.BatchNormalization(epsilon=1e-5, name=name)(x)  # torch.nn.BatchNorm2d's

    def convolve(x: Tensor, filters: int, size: int, stride: int, name: str) -> Tensor:
        if size > 1:  # torch pads both sides alike, Keras's "same" more at the end if it strides
            x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
        x = layers.Conv2D(filters, size, strides=stride, use_bias=False, name=f"{name}_conv")(x)
        return normal(x, f"{name}_bn")

    image = keras.Input((224, 224, 3))
    x = layers.Activation("relu", name="conv1_relu")(convolve(image, 64, 7, 2, "conv1"))
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    strided, last = sizes.index(3) + 1, len(sizes)
    for stage, count in enumerate(blocks, 2):
        filters = 64 << (stage - 2)
        widened = filters * (4 if last == 3 else 1)
        for block in range(1, count + 1):
            prefix = f"conv{stage}_block{block}"
            stride = 2 if stage > 2 and block == 1 else 1
            shortcut = x
            if x.shape[-1] != widened:
                shortcut = convolve(x, widened, 1, stride, f"{prefix}_0")
            for part, size in enumerate(sizes, 1):
                if part > 1:
                    x = layers.Activation("relu", name=f"{prefix}_{part - 1}_relu")(x)
                leaving = widened if part == last else filters
                step = stride if part == strided else 1
                x = convolve(x, leaving, size, step, f"{prefix}_{part}")
            x = layers.Add(name=f"{prefix}_add")([shortcut, x])
            x = layers.Activation("relu", name=f"{prefix}_out")(x)
    return _with_top(image, x, name)


def torch_names(
    blocks: Blocks, sizes: tuple[int, ...], pixels: Preprocessing
) -> tuple[TorchNames, ...]:
    """Return how `.safetensors` files of torchvision, timm and transformers fill the network.

    torchvision and timm have the same names, and their first weights the same transforms; of later
    ones a file beside the weights says which.

    Args:
        blocks: of each stage.
        sizes: as `torch_network` takes them.
        pixels: how all want their pixels.
    """
    wanted = (torchvision(pixels, 256), timm(pixels, 0.875))
    return tuple(
        TorchNames(_modules(names, blocks, sizes), preprocessing=preprocessing)
        for names, preprocessing in zip(_PUBLISHERS, wanted, strict=True)
    )


class _Names(NamedTuple):
    """What a publisher calls a convolution and its norm, and what stands around them."""

    stem: tuple[str, str]
    block: str  # of stage 1 to 4 (or `below`: 0 to 3), counted from 0
    part: tuple[str, str]  # of a block: its n-th convolution, counted from 1 (`below`: from 0)
    shortcut: tuple[str, str]
    top: str  # the dense layer


_PUBLISHERS = (
    _Names(  # torchvision and timm
        stem=("conv1", "bn1"),
        block="layer{stage}.{place}",
        part=("conv{n}", "bn{n}"),
        shortcut=("downsample.0", "downsample.1"),
        top="fc",
    ),
    _Names(  # transformers
        stem=("resnet.embedder.embedder.convolution", "resnet.embedder.embedder.normalization"),
        block="resnet.encoder.stages.{below}.layers.{place}",
        part=("layer.{below}.convolution", "layer.{below}.normalization"),
        shortcut=("shortcut.convolution", "shortcut.normalization"),
        top="classifier.1",
    ),
)


def _modules(names: _Names, blocks: Blocks, sizes: tuple[int, ...]) -> dict[str, str]:
    """Return a publisher's modules and the layers that they are."""
    pairs = {"conv1": names.stem}  # beginning of our layers' names → theirs
    for stage, count in enumerate(blocks, 1):
        for place in range(count):
            block = names.block.format(stage=stage, below=stage - 1, place=place)
            parts = {n: names.part for n in range(1, len(sizes) + 1)}
            if place == 0 and (stage > 1 or sizes == BOTTLENECK):
                parts[0] = names.shortcut
            for n, both in parts.items():
                convolution, norm = (f"{block}.{one.format(n=n, below=n - 1)}" for one in both)
                pairs[f"conv{stage + 1}_block{place + 1}_{n}"] = (convolution, norm)
    modules: dict[str, str] = {}
    for ours, (convolution, norm) in pairs.items():
        modules |= {convolution: f"{ours}_conv", norm: f"{ours}_bn"}
    return modules | {names.top: "fc1000"}


def _with_top(image: Tensor, x: Tensor, name: str) -> Network:
    import keras

    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = keras.layers.Dense(1000, name="fc1000")(x)
    x = keras.layers.Activation("softmax", name="predictions")(x)
    return keras.Model(image, x, name=name)
