"""What the ConvNeXts share: the network, the names of its layers, theirs and torch's.

Built here and not by keras.applications: there the sums that end the blocks have no name of their
own, and the depthwise convolutions are grouped ones, for which TensorFlow has no kernel on CPUs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from vista_sql.roster import Network, TorchNames, WeightsFile
from vista_sql.roster.parts.published import (
    KERAS_URL,
    as_they_are,
    timm,
    torch_mode,
    torchvision,
)

Tensor: TypeAlias = Any

Stages: TypeAlias = tuple[int, int, int, int]
"""Of each stage its blocks, or its channels: the paper's table 9."""

PAPER = "Liu et al., A ConvNet for the 2020s, CVPR 2022, arXiv:2201.03545"

PIXELS = as_they_are("keras.applications.convnext: the network's first layer scales the pixels")

REVISION = "inner layers"  # which Keras computed as one

_EPSILON = 1e-6  # of the layer norms: keras/src/applications/convnext.py


def network(prefix: str, depths: Stages, channels: Stages, name: str) -> Network:
    """Build the network; layers are named as Keras names them, after `prefix`."""
    import keras
    from keras import layers

    from vista_sql.roster.parts.layers import custom_layers

    custom = custom_layers()

    def normal(name: str) -> Any:
        return layers.LayerNormalization(epsilon=_EPSILON, name=name)

    def convolve(filters: int, size: int, name: str) -> Any:
        return layers.Conv2D(filters, size, strides=size, name=name)

    def block(inputs: Tensor, filters: int, name: str) -> Tensor:
        x = layers.DepthwiseConv2D(7, padding="same", name=f"{name}_depthwise_conv")(inputs)
        x = normal(f"{name}_layernorm")(x)
        x = layers.Dense(4 * filters, name=f"{name}_pointwise_conv_1")(x)
        x = layers.Activation("gelu", name=f"{name}_gelu")(x)
        x = layers.Dense(filters, name=f"{name}_pointwise_conv_2")(x)
        x = custom.LayerScale(name=f"{name}_layer_scale")(x)
        return layers.Add(name=f"{name}_add")([inputs, x])

    # As in Keras's network these are networks in the network: so its files have them.
    entries = [
        keras.Sequential(
            [convolve(channels[0], 4, f"{prefix}_stem_conv"), normal(f"{prefix}_stem_layernorm")],
            name=f"{prefix}_stem",
        )
    ]
    for i, filters in enumerate(channels[1:]):
        parts = [
            normal(f"{prefix}_downsampling_layernorm_{i}"),
            convolve(filters, 2, f"{prefix}_downsampling_conv_{i}"),
        ]
        entries.append(keras.Sequential(parts, name=f"{prefix}_downsampling_block_{i}"))

    image = keras.Input((224, 224, 3))
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of RGB in 0 to 1
    x = layers.Normalization(
        mean=[255 * one for one in mean],
        variance=[(255 * one) ** 2 for one in deviation],
        name=f"{prefix}_prestem_normalization",
    )(image)
    for stage, (depth, filters) in enumerate(zip(depths, channels, strict=True)):
        x = entries[stage](x)
        for i in range(depth):
            x = block(x, filters, f"{prefix}_stage_{stage}_block_{i}")
    x = layers.GlobalAveragePooling2D(name=f"{prefix}_head_gap")(x)
    x = normal(f"{prefix}_head_layernorm")(x)
    x = layers.Dense(1000, name=f"{prefix}_head_dense")(x)
    x = layers.Activation("softmax", name="predictions")(x)
    return keras.Model(image, x, name=name)


def aliases(prefix: str, depths: Stages) -> dict[str, str]:
    """Return names of the stages' blocks, counted from 1, and of what stands around them."""
    return {
        f"stage{stage}_{block}": f"{prefix}_stage_{stage - 1}_block_{block - 1}_add"
        for stage, depth in enumerate(depths, 1)
        for block in range(1, depth + 1)
    } | {
        "stem": f"{prefix}_stem",
        "avg_pool": f"{prefix}_head_gap",
        "norm": f"{prefix}_head_layernorm",
        "fc1000": f"{prefix}_head_dense",
    }


def last_blocks(depths: Stages) -> tuple[str, ...]:
    """Return the last block of the third stage, all of the fourth, and what follows."""
    fourth = (f"stage4_{block + 1}" for block in range(depths[3]))
    return (f"stage3_{depths[2]}", *fourth, "avg_pool", "norm", "fc1000")


def keras_file(prefix: str, sha256: str) -> WeightsFile:
    """Return published weights; name, place and hash: keras/src/applications/convnext.py."""
    return WeightsFile(f"{prefix}.h5", f"{KERAS_URL}convnext/{prefix}.h5", sha256)


def torch_names(
    prefix: str, depths: Stages, title: str, shorter_side: int
) -> tuple[TorchNames, ...]:
    """Return how `.safetensors` files of torchvision, timm and transformers fill the network.

    Args:
        prefix: of the network's layers.
        depths: blocks of each stage.
        title: as torchvision calls the network.
        shorter_side: to which torchvision's transforms resize, in pixels.
    """
    first = torch_mode(f"torchvision, ConvNeXt_{title}_Weights.IMAGENET1K_V1's transforms")
    others = torch_mode("the default of timm's and of transformers' ConvNeXts")
    wanted = (torchvision(first, shorter_side), timm(others, 0.875), timm(others, 0.875))
    return tuple(
        TorchNames(
            _modules(names, prefix, depths),
            {
                f"{names.block_of(stage, i)}.{names.scale}": f"{ours}_layer_scale"
                for stage, i, ours in _blocks(prefix, depths)
            },
            preprocessing=preprocessing,
            inside=first,
        )
        for names, preprocessing in zip(_PUBLISHERS, wanted, strict=True)
    )


class _Names(NamedTuple):
    """What a publisher calls the parts; places are counted from 0."""

    stem: tuple[str, str]  # convolution and norm
    entry: str  # before a stage, but the first: the norm is its 0, the convolution its 1
    block: str
    parts: tuple[str, str, str, str]  # of a block: depthwise convolution, norm, dense, dense
    scale: str  # … and its last, which is no module
    head: tuple[str, str]  # norm and dense

    def entry_of(self, stage: int) -> str:
        return self.entry.format(stage=stage, even=2 * stage)

    def block_of(self, stage: int, place: int) -> str:
        return self.block.format(stage=stage, odd=2 * stage + 1, place=place)


_PUBLISHERS = (
    _Names(  # torchvision, whose stages and entries are counted together
        stem=("features.0.0", "features.0.1"),
        entry="features.{even}",
        block="features.{odd}.{place}",
        parts=("block.0", "block.2", "block.3", "block.5"),
        scale="layer_scale",
        head=("classifier.0", "classifier.2"),
    ),
    _Names(  # timm
        stem=("stem.0", "stem.1"),
        entry="stages.{stage}.downsample",
        block="stages.{stage}.blocks.{place}",
        parts=("conv_dw", "norm", "mlp.fc1", "mlp.fc2"),
        scale="gamma",
        head=("head.norm", "head.fc"),
    ),
    _Names(  # transformers
        stem=("convnext.embeddings.patch_embeddings", "convnext.embeddings.layernorm"),
        entry="convnext.encoder.stages.{stage}.downsampling_layer",
        block="convnext.encoder.stages.{stage}.layers.{place}",
        parts=("dwconv", "layernorm", "pwconv1", "pwconv2"),
        scale="layer_scale_parameter",
        head=("convnext.layernorm", "classifier"),
    ),
)

_PARTS = ("depthwise_conv", "layernorm", "pointwise_conv_1", "pointwise_conv_2")


def _modules(names: _Names, prefix: str, depths: Stages) -> dict[str, str]:
    """Return a publisher's modules and the layers that they are."""
    around = (*names.stem, *names.head)
    ours = ("stem_conv", "stem_layernorm", "head_layernorm", "head_dense")
    modules = {theirs: f"{prefix}_{own}" for theirs, own in zip(around, ours, strict=True)}
    for stage in range(1, len(depths)):
        entry = names.entry_of(stage)
        modules[f"{entry}.0"] = f"{prefix}_downsampling_layernorm_{stage - 1}"
        modules[f"{entry}.1"] = f"{prefix}_downsampling_conv_{stage - 1}"
    for stage, place, block in _blocks(prefix, depths):
        for theirs, own in zip(names.parts, _PARTS, strict=True):
            modules[f"{names.block_of(stage, place)}.{theirs}"] = f"{block}_{own}"
    return modules


def _blocks(prefix: str, depths: Stages) -> Iterator[tuple[int, int, str]]:
    """Yield each block's stage, its place there, and the beginning of its layers' names."""
    for stage, depth in enumerate(depths):
        for place in range(depth):
            yield stage, place, f"{prefix}_stage_{stage}_block_{place}"
