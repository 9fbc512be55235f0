"""What the residual networks share: both kinds of network, and the names of their layers."""

from __future__ import annotations

from typing import Any, TypeAlias

from vista_sql.roster import Network, TorchNames

Tensor: TypeAlias = Any

PAPER = "He et al., Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385"

Blocks: TypeAlias = tuple[int, int, int, int]
"""Residual blocks in conv2 … conv5: a column of the paper's table 1."""

BOTTLENECKS_DIFFER = TorchNames(
    refused="it is Keras's network, with the stride in the first 1 × 1 convolution of a block and "
    "biases in every convolution; timm's and torchvision's has the stride in the 3 × 3 convolution"
)


def aliases(blocks: Blocks) -> dict[str, str]:
    """Return the paper's names (conv2_1 is the first block's result) and Vista's fc6."""
    return (
        {"conv1": "conv1_relu", "pool1": "pool1_pool"}
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


def bottleneck_network(application: str, name: str) -> Network:
    """Build the network of keras.applications with the logits as a layer of their own."""
    import keras

    build = getattr(keras.applications, application)
    base = build(include_top=False, weights=None, input_shape=(224, 224, 3))
    return _with_top(base.input, base.output, name)


def basic_network(blocks: Blocks, name: str) -> Network:
    """Build a network of two 3 × 3 convolutions per block: torchvision's and timm's, to the bit.

    A block's stride is in its first convolution; a block that changes the number of channels has a
    1 × 1 convolution as its shortcut (the paper's option B). Layers are named as Keras names those
    of its deeper ones.
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
    for stage, count in enumerate(blocks, 2):
        for block in range(1, count + 1):
            filters, prefix = 64 << (stage - 2), f"conv{stage}_block{block}"
            stride = 2 if stage > 2 and block == 1 else 1
            shortcut = x
            if stride > 1:
                shortcut = convolve(x, filters, 1, stride, f"{prefix}_0")
            x = convolve(x, filters, 3, stride, f"{prefix}_1")
            x = layers.Activation("relu", name=f"{prefix}_1_relu")(x)
            x = convolve(x, filters, 3, 1, f"{prefix}_2")
            x = layers.Add(name=f"{prefix}_add")([shortcut, x])
            x = layers.Activation("relu", name=f"{prefix}_out")(x)
    return _with_top(image, x, name)


def basic_torch_names(blocks: Blocks) -> TorchNames:
    """Return how a `.safetensors` file of timm or torchvision fills `basic_network`."""
    modules = {"conv1": "conv1_conv", "bn1": "conv1_bn", "fc": "fc1000"}
    for stage, count in enumerate(blocks, 2):
        for block in range(1, count + 1):
            theirs, ours = f"layer{stage - 1}.{block - 1}", f"conv{stage}_block{block}"
            for part in (1, 2):
                modules[f"{theirs}.conv{part}"] = f"{ours}_{part}_conv"
                modules[f"{theirs}.bn{part}"] = f"{ours}_{part}_bn"
            if stage > 2 and block == 1:
                modules[f"{theirs}.downsample.0"] = f"{ours}_0_conv"
                modules[f"{theirs}.downsample.1"] = f"{ours}_0_bn"
    return TorchNames(modules)


def _with_top(image: Tensor, x: Tensor, name: str) -> Network:
    import keras

    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = keras.layers.Dense(1000, name="fc1000")(x)
    x = keras.layers.Activation("softmax", name="predictions")(x)
    return keras.Model(image, x, name=name)
