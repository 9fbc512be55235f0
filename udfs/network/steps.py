"""What one step of a network computes, as data: an operation, its numbers and its weights.

Maps are (batch, height, width, channels). Every class below says all that is needed to compute it,
so that an engine, or an exporter, needs nothing else; `Foreign` is what only the framework can
compute that the network was read from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:  # planning asks for an engine's name, and has no use for NumPy
    import numpy as np


class Weight(Protocol):
    """Numbers that `np.asarray` reads: an array, or a framework's variable, read only then."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        ...

    def __array__(self) -> np.ndarray:
        """Return the numbers."""
        ...


Sides: TypeAlias = tuple[int, int]
"""Of something: its (height, width)."""

Padding: TypeAlias = Literal["same", "valid"]
"""As TensorFlow has them: 'same' puts an odd pixel of padding at the bottom or the right."""

Reduction: TypeAlias = Literal["max", "mean"]


class Image(Struct, frozen=True):
    """The network's input: preprocessed pixels."""


class Convolution(Struct, frozen=True, eq=False):
    """activation(convolution + bias).

    `kernel` is (height, width, channels / groups, filters); of a depthwise convolution (height,
    width, channels, multiplier), and `groups` is 1. `activation` is Keras's name of a function; "":
    one that has none, which the step's origin knows.
    """

    kernel: Weight
    bias: Weight | None
    strides: Sides = (1, 1)
    dilations: Sides = (1, 1)
    padding: Padding = "valid"
    groups: int = 1
    depthwise: bool = False
    activation: str = "linear"


class SeparableConvolution(Struct, frozen=True, eq=False):
    """activation(a depthwise convolution, then one of 1 × 1, + bias).

    `depthwise` is (height, width, channels, multiplier), `pointwise` (1, 1, channels × multiplier,
    filters); strides, dilations and padding are the depthwise one's.
    """

    depthwise: Weight
    pointwise: Weight
    bias: Weight | None
    strides: Sides = (1, 1)
    dilations: Sides = (1, 1)
    padding: Padding = "valid"
    activation: str = "linear"


class Dense(Struct, frozen=True, eq=False):
    """activation(values × kernel + bias), over the last axis; `kernel` is (values, units)."""

    kernel: Weight
    bias: Weight | None
    activation: str = "linear"


class BatchNorm(Struct, frozen=True, eq=False):
    """gamma × (values - mean) / sqrt(variance + epsilon) + beta, per place of one axis."""

    mean: Weight
    variance: Weight
    gamma: Weight | None
    beta: Weight | None
    epsilon: float
    axis: int = -1


class LayerNorm(Struct, frozen=True, eq=False):
    """As BatchNorm, over the last axis, with each image's own mean and variance there."""

    gamma: Weight | None
    beta: Weight | None
    epsilon: float


class ResponseNorm(Struct, frozen=True):
    """values / (bias + alpha × sum of squares over 2 × radius + 1 channels) ** beta."""

    radius: int
    bias: float
    alpha: float
    beta: float


class Activate(Struct, frozen=True):
    """A function of each value, or of the last axis (softmax), by Keras's name of it."""

    activation: str


class Relu(Struct, frozen=True):
    """min(values, max_value) above `threshold`, negative_slope × (values - threshold) below it."""

    max_value: float | None = None
    negative_slope: float = 0.0
    threshold: float = 0.0


class Pooling(Struct, frozen=True):
    """The largest or the mean value in windows of a map; padding counts for neither."""

    reduction: Reduction
    size: Sides
    strides: Sides
    padding: Padding = "valid"


class GlobalPool(Struct, frozen=True):
    """The largest or the mean value of each channel; with `keep_axes` still a map, of 1 × 1."""

    reduction: Reduction
    keep_axes: bool = False


class Pad(Struct, frozen=True):
    """Zeros around a map, in pixels."""

    top: int
    bottom: int
    left: int
    right: int


class Crop(Struct, frozen=True):
    """A map without some pixels at its sides; `windows` makes them, no framework's network has."""

    top: int
    bottom: int
    left: int
    right: int


class Reshape(Struct, frozen=True):
    """The same values, row-major, in the step's shape; flattening is one."""


class Identity(Struct, frozen=True):
    """The values as they are: dropout and noise, which are of training; an inner network's end."""


class Add(Struct, frozen=True):
    """The sum of all inputs, in their order."""


class Multiply(Struct, frozen=True):
    """The product of all inputs, in their order; axes of length 1 are repeated."""


class Concatenate(Struct, frozen=True):
    """All inputs, one behind the other along an axis (the batch's is 0)."""

    axis: int = -1


class Rescale(Struct, frozen=True, eq=False):
    """values × scale + offset."""

    scale: Weight
    offset: Weight


class Standardize(Struct, frozen=True, eq=False):
    """(values - mean) / sqrt(variance)."""

    mean: Weight
    variance: Weight


class ScaleChannels(Struct, frozen=True, eq=False):
    """values × factor, per channel: ConvNeXt's at the end of a block."""

    factor: Weight


class Subsample(Struct, frozen=True, eq=False):
    """tanh(coefficient × sum of 2 × 2 values + bias), per channel: LeNet-5's S layers."""

    coefficient: Weight
    bias: Weight


class PartialConvolution(Struct, frozen=True, eq=False):
    """tanh(convolution + bias), each map seeing only some input maps: LeNet-5's C3.

    `kernel` is (height, width, pairs); the pairs are of an output map with each input map that
    `connections` lists for it.
    """

    kernel: Weight
    bias: Weight
    connections: tuple[tuple[int, ...], ...]


class Foreign(Struct, frozen=True):
    """What only the step's origin can compute; `kind` is Keras's name of it, "" if it has none."""

    kind: str


Operation: TypeAlias = (
    Image
    | Convolution
    | SeparableConvolution
    | Dense
    | BatchNorm
    | LayerNorm
    | ResponseNorm
    | Activate
    | Relu
    | Pooling
    | GlobalPool
    | Pad
    | Crop
    | Reshape
    | Identity
    | Add
    | Multiply
    | Concatenate
    | Rescale
    | Standardize
    | ScaleChannels
    | Subsample
    | PartialConvolution
    | Foreign
)


class Step(Struct, frozen=True, eq=False):
    """One use of an operation in a network."""

    name: str  # the layer's, as vista_sql.roster.catalogue.uses names it
    operation: Operation
    inputs: tuple[str, ...]  # steps, in the operation's order
    shape: tuple[int | None, ...] | None
    """Without the batch axis; None: it has several outputs, or one that is not of floats."""
    origin: object | None = None  # what it was read from, for an engine that runs such things


Fused: TypeAlias = Literal["", "relu", "relu6"]
"""The activation that a group ends in; "": none."""

FUSED: Mapping[str, Fused] = {"relu": "relu", "relu6": "relu6"}


def fused_activation(operation: Operation) -> Fused:
    """Return the activation of an operation that can be fused with what comes before, or "".

    Example:
        >>> fused_activation(Relu(max_value=6)), fused_activation(Activate("tanh"))
        ('relu6', '')
    """
    match operation:
        case Relu(limit, slope, threshold) if not slope and not threshold:
            if limit is None:
                return "relu"
            return "relu6" if limit == 6 else ""
        case Convolution() | Dense() | Activate():
            return FUSED.get(operation.activation, "")
    return ""
