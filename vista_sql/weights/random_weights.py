"""Give a network random weights that depend on a seed alone and keep its activations in range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple, TypeAlias

from vista_sql.roster import Network, Preprocessing
from vista_sql.roster.catalogue.uses import KerasLayer, uses

Array: TypeAlias = Any

PIXEL_VARIANCE = (256**2 - 1) / 12  # of a byte all of whose values are equally likely
PIXEL_MEAN = 255 / 2
NODES = 64  # of the Gauss-Hermite rule, for the moments of an activation
SMALLEST_VARIANCE = 1e-12


class Expected(NamedTuple):
    """What a layer's values are expected to be like, over all channels and places."""

    mean: float
    square: float  # the mean of the squares


def randomise(network: Network, seed: int, preprocessing: Preprocessing | None = None) -> None:
    """Draw every kernel uniformly within sqrt(3 / fan-in); set batch norms to what they will see.

    The values depend on `seed` and on the network alone: not on the process, nor on any global
    state. The limit is LeCun's (Efficient BackProp, 1998, section 4.6), under which a layer's mean
    square is that of its input. A batch norm's variance becomes what its input's is expected to be,
    as training would make it; all else keeps its initial values.

    Args:
        network: a Keras functional or sequential network.
        seed: any integer.
        preprocessing: from pixels to the network's input; None: its values are standard normal.
    """
    import numpy as np

    depthwise = {
        id(layer.kernel) for layer in _flat(network) if type(layer).__name__ == "DepthwiseConv2D"
    }
    for number, variable in enumerate(network.weights):
        shape = tuple(variable.shape)
        if len(shape) < 2:
            continue
        fan_in = prod(shape[:2] if id(variable) in depthwise else shape[:-1])
        limit = np.float32((3 / fan_in) ** 0.5)
        values = np.random.default_rng([seed % 2**64, number]).random(shape, dtype=np.float32)
        values *= 2 * limit
        values -= limit
        variable.assign(values)
    start = Expected(0, 1) if preprocessing is None else input_moments(preprocessing)
    _set_batch_norms(network, start)


def input_moments(preprocessing: Preprocessing) -> Expected:
    """Return what a network's input is like where all pixel values are equally likely."""
    channels = list(zip(preprocessing.mean, preprocessing.scale, strict=True))
    means = [(PIXEL_MEAN - mean) * scale for mean, scale in channels]
    squares = [(PIXEL_VARIANCE + (PIXEL_MEAN - mean) ** 2) * scale**2 for mean, scale in channels]
    return Expected(sum(means) / len(means), sum(squares) / len(squares))


def _set_batch_norms(network: Network, start: Expected) -> None:
    """Set the variances, bottom to top; `start` describes the network's input."""
    found, _ = uses(network)
    known: dict[str, Expected] = {}
    channels = {use.name: [output.shape[-1] for output in use.outputs] for use in found}
    for use in found:
        below = [known[name] for name, _ in use.inputs] or [start]
        shares = [channels[name][place] or 1 for name, place in use.inputs]
        known[use.name] = below[0] if use.node is None else _after(use.layer, below, shares)


def _after(layer: KerasLayer, below: Sequence[Expected], channels: Sequence[int]) -> Expected:
    """Return what a layer's output is expected to be like, given its inputs and their channels."""
    kind = type(layer).__name__
    if kind == "Concatenate":
        return _joined(below, channels)
    if kind == "BatchNormalization":
        variance = layer.moving_variance
        variance.assign([max(below[0].square, SMALLEST_VARIANCE)] * variance.shape[0])
        return Expected(0, 1)
    if kind == "LayerNormalization":
        return Expected(0, 1)
    result = _COMBINED[kind](layer, below) if kind in _COMBINED else below[0]
    weights = getattr(layer, "weights", ())  # an operation that is no layer has none
    if any(len(weight.shape) > 1 for weight in weights):  # a kernel: its mean is zero
        result = Expected(0, result.square)
    return _activated(layer, result)


def _activated(layer: KerasLayer, moments: Expected) -> Expected:
    """Return the moments after a layer's activation, of normal values before it."""
    import numpy as np

    name = getattr(getattr(layer, "activation", None), "__name__", "")
    if type(layer).__name__ == "ReLU":
        name = "relu" if layer.max_value is None else "relu6"
    if name not in _ACTIVATIONS:
        return moments
    places, shares = np.polynomial.hermite_e.hermegauss(NODES)
    deviation = max(moments.square - moments.mean**2, 0) ** 0.5
    values = _ACTIVATIONS[name](moments.mean + deviation * places)
    shares = shares / shares.sum()
    return Expected(float(shares @ values), float(shares @ values**2))


def _sigmoid(x: Array) -> Array:
    import numpy as np

    return 1 / (1 + np.exp(-x))


def _gelu(x: Array) -> Array:
    return x * _sigmoid(1.702 * x)  # Hendrycks & Gimpel, arXiv:1606.08415, section 2


_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: x.clip(min=0),
    "relu6": lambda x: x.clip(min=0, max=6),
    "silu": lambda x: x * _sigmoid(x),
    "gelu": _gelu,
    "sigmoid": _sigmoid,
}


def _sum(layer: KerasLayer, below: Sequence[Expected]) -> Expected:
    mean = sum(moments.mean for moments in below)
    return Expected(mean, mean**2 + sum(moments.square - moments.mean**2 for moments in below))


def _product(layer: KerasLayer, below: Sequence[Expected]) -> Expected:
    return Expected(
        prod(moments.mean for moments in below), prod(moments.square for moments in below)
    )


def _joined(below: Sequence[Expected], channels: Sequence[int]) -> Expected:
    shares = [count / sum(channels) for count in channels]
    pairs = list(zip(shares, below, strict=True))
    return Expected(
        sum(share * one.mean for share, one in pairs),
        sum(share * one.square for share, one in pairs),
    )


def _rescaled(layer: KerasLayer, below: Sequence[Expected]) -> Expected:
    import numpy as np

    scale = np.asarray(layer.scale, np.float64)
    mean, square = below[0]
    return Expected(float(mean * np.mean(scale)), float(square * np.mean(scale**2)))


_COMBINED: dict[str, Callable[[KerasLayer, Sequence[Expected]], Expected]] = {
    "Add": _sum,
    "Multiply": _product,
    "Rescaling": _rescaled,
}


def _flat(network: Network) -> list[KerasLayer]:
    """Return the layers of a network and of the networks in it."""
    return [
        part
        for layer in network.layers
        for part in (_flat(layer) if getattr(layer, "layers", None) else [layer])
    ]
