"""What the MobileNetV3s share: the network, and the names of its layers.

Built here and not by keras.applications, where a gate is arithmetic on tensors and activations have
no names of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from vista_sql.roster import Network
from vista_sql.roster.parts.published import as_they_are

Tensor: TypeAlias = Any

PAPER = "Howard et al., Searching for MobileNetV3, ICCV 2019, arXiv:1905.02244"

PIXELS = as_they_are("keras.applications.mobilenet_v3: the network's first layer scales the pixels")


class Bneck(NamedTuple):
    """A row of the paper's tables 1 and 2."""

    size: int  # of the depthwise kernel
    expanded: int
    filters: int
    squeezes: bool
    activation: Literal["relu", "hard_silu"]  # the paper's h-swish
    stride: int


def network(bnecks: Sequence[Bneck], features: int, name: str) -> Network:
    """Build the network; layers are named as Keras names them.

    Args:
        bnecks: in their order.
        features: of the last layer but one.
        name: the network's.
    """
    import keras
    from keras import layers

    def activate(x: Tensor, kind: str, name: str) -> Tensor:
        return layers.Activation(kind, name=name)(x)

    def normal(x: Tensor, name: str) -> Tensor:
        return layers.BatchNormalization(epsilon=1e-3, momentum=0.999, name=name)(x)

    def convolve(x: Tensor, filters: int, name: str, size: int = 1, stride: int = 1) -> Tensor:
        x = layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False, name=name)(
            x
        )
        return normal(x, f"{name}_bn")

    def pad(x: Tensor, size: int, name: str) -> Tensor:
        """Pad for a stride of 2, as imagenet_utils.correct_pad does."""
        half = size // 2
        before = half - 1 + x.shape[1] % 2
        return layers.ZeroPadding2D(((before, half), (before, half)), name=name)(x)

    def squeeze(x: Tensor, name: str) -> Tensor:
        filters = x.shape[-1]
        s = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}avg_pool")(x)
        s = layers.Conv2D(_divisible(filters / 4), 1, padding="same", name=f"{name}conv")(s)
        s = layers.ReLU(name=f"{name}relu")(s)
        s = layers.Conv2D(filters, 1, padding="same", name=f"{name}conv_1")(s)
        s = activate(s, "hard_sigmoid", f"{name}gate")
        return layers.Multiply(name=f"{name}mul")([x, s])

    def block(inputs: Tensor, row: Bneck, name: str, expands: bool) -> Tensor:
        x = inputs
        if expands:
            x = convolve(x, row.expanded, f"{name}expand")
            x = activate(x, row.activation, f"{name}expand_activation")
        if row.stride == 2:
            x = pad(x, row.size, f"{name}depthwise_pad")
        x = layers.DepthwiseConv2D(
            row.size,
            strides=row.stride,
            padding="valid" if row.stride == 2 else "same",
            use_bias=False,
            name=f"{name}depthwise",
        )(x)
        x = normal(x, f"{name}depthwise_bn")
        x = activate(x, row.activation, f"{name}depthwise_activation")
        if row.squeezes:
            x = squeeze(x, f"{name}squeeze_excite_")
        x = convolve(x, row.filters, f"{name}project")
        if row.stride == 1 and inputs.shape[-1] == row.filters:
            x = layers.Add(name=f"{name}add")([inputs, x])
        return x

    image = keras.Input((224, 224, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling")(image)
    x = activate(convolve(x, 16, "conv", size=3, stride=2), "hard_silu", "conv_activation")
    for i, row in enumerate(bnecks):
        x = block(x, row, _prefix(i), expands=i > 0)
    x = activate(convolve(x, bnecks[-1].expanded, "conv_1"), "hard_silu", "conv_1_activation")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    # convolutions of 1 × 1 over one pixel, in place of dense layers: so Keras's files have them
    x = layers.Reshape((1, 1, bnecks[-1].expanded), name="avg_pool_map")(x)
    x = layers.Conv2D(features, 1, padding="same", name="conv_2")(x)
    x = activate(x, "hard_silu", "conv_2_activation")
    x = layers.Flatten(name="fc1")(x)
    x = layers.Reshape((1, 1, features), name="fc1_map")(x)
    x = layers.Conv2D(1000, 1, padding="same", name="logits")(x)
    x = layers.Flatten(name="fc1000")(x)
    x = layers.Activation("softmax", name="predictions")(x)
    return keras.Model(image, x, name=name)


def aliases(bnecks: Sequence[Bneck]) -> dict[str, str]:
    """Return the blocks, counted from 1, and the layers that end them; and the last convolution."""
    entering, names = 16, {}
    for i, row in enumerate(bnecks):
        adds = row.stride == 1 and row.filters == entering
        names[f"bneck{i + 1}"] = _prefix(i) + ("add" if adds else "project_bn")
        entering = row.filters
    return names | {"last_conv": "conv_1_activation"}


def _prefix(block: int) -> str:
    return f"expanded_conv_{block}_" if block else "expanded_conv_"


def _divisible(filters: float) -> int:
    """Return the nearest multiple of 8, but one that is at least nine tenths as many."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * filters else nearest
