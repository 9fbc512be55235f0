"""Give a network random weights that depend on a seed alone and keep its activations in range."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from math import prod
from typing import NamedTuple

from vista_sql.roster import Preprocessing
from vista_sql.roster.networks import Variable, leaves
from vista_sql.weights.described import Array, Call, Description

PIXEL_VARIANCE = (256**2 - 1) / 12  # of a byte all of whose values are equally likely
PIXEL_MEAN = 255 / 2
NODES = 64  # of the Gauss-Hermite rule, for the moments of an activation
SMALLEST_VARIANCE = 1e-12
VARIANCE = "moving_variance"  # a batch norm's


class Expected(NamedTuple):
    """What a layer's values are expected to be like, over all channels and places."""

    mean: float
    square: float  # the mean of the squares


def draw(
    network: Description, seed: int, preprocessing: Preprocessing
) -> Iterator[tuple[Variable, Array]]:
    """Draw every kernel uniformly within sqrt(3 / fan-in); set batch norms to what they will see.

    The values depend on `seed` and on the network alone: not on the process, nor on any global
    state. The limit is LeCun's (Efficient BackProp, 1998, section 4.6), under which a layer's mean
    square is that of its input. A batch norm's variance becomes what its input's is expected to be,
    as training would make it; all else, which is not yielded, keeps its initial values.

    Args:
        network: of Keras, or data: both get the same values.
        seed: any integer.
        preprocessing: from pixels to the network's input.

    Yields:
        A variable and its values, float32.
    """
    import numpy as np

    depthwise = {
        one.variables[0] for one in leaves(network.layers) if one.kind == "DepthwiseConv2D"
    }
    for number, variable in enumerate(network.variables):
        shape = variable.shape
        if len(shape) < 2:
            continue
        fan_in = prod(shape[:2] if variable in depthwise else shape[:-1])
        limit = np.float32((3 / fan_in) ** 0.5)
        values = np.random.default_rng([seed % 2**64, number]).random(shape, dtype=np.float32)
        values *= 2 * limit
        values -= limit
        yield variable, values
    yield from _variances(network.calls, input_moments(preprocessing))


def is_drawn(variable: Variable) -> bool:
    """Return whether a variable gets values by `draw`, and does not keep its initial ones."""
    return len(variable.shape) > 1 or variable.name == VARIANCE


def input_moments(preprocessing: Preprocessing) -> Expected:
    """Return what a network's input is like where all pixel values are equally likely."""
    channels = list(zip(preprocessing.mean, preprocessing.scale, strict=True))
    means = [(PIXEL_MEAN - mean) * scale for mean, scale in channels]
    squares = [(PIXEL_VARIANCE + (PIXEL_MEAN - mean) ** 2) * scale**2 for mean, scale in channels]
    return Expected(sum(means) / len(means), sum(squares) / len(squares))


def _variances(calls: Iterable[Call], start: Expected) -> Iterator[tuple[Variable, Array]]:
    """Yield the batch norms' variances, bottom to top; `start` describes the network's input."""
    import numpy as np

    known: dict[str, Expected] = {}
    for call in calls:
        below = [known[name] for name, _ in call.inputs] or [start]
        known[call.name] = _after(call, below)
        if call.kind == "BatchNormalization":
            expected = max(below[0].square, SMALLEST_VARIANCE)
            for variable in call.variables:
                if variable.name == VARIANCE:
                    yield variable, np.full(variable.shape, expected, np.float32)


def _after(call: Call, below: Sequence[Expected]) -> Expected:
    """Return what a call's output is expected to be like, given its inputs."""
    if call.kind in ("BatchNormalization", "LayerNormalization"):
        return Expected(0, 1)
    if call.kind == "Concatenate":
        return _joined(call, below)
    result = _COMBINED[call.kind](call, below) if call.kind in _COMBINED else below[0]
    if any(len(variable.shape) > 1 for variable in call.variables):  # a kernel: its mean is zero
        result = Expected(0, result.square)
    return _activated(call.activation, result)


def _activated(name: str, moments: Expected) -> Expected:
    """Return the moments after a layer's activation, of normal values before it."""
    if name not in _ACTIVATIONS:
        return moments
    places, shares = _rule()
    deviation = max(moments.square - moments.mean**2, 0) ** 0.5
    values = _ACTIVATIONS[name](moments.mean + deviation * places)
    return Expected(float(shares @ values), float(shares @ values**2))


@cache
def _rule() -> tuple[Array, Array]:
    """Return places and shares for the mean over standard normal values."""
    import numpy as np

    places, shares = np.polynomial.hermite_e.hermegauss(NODES)
    return places, shares / shares.sum()


def _sigmoid(x: Array) -> Array:
    import numpy as np

    return 1 / (1 + np.exp(-x))


def _hard_sigmoid(x: Array) -> Array:
    return (x / 6 + 0.5).clip(min=0, max=1)


def _gelu(x: Array) -> Array:
    return x * _sigmoid(1.702 * x)  # Hendrycks & Gimpel, arXiv:1606.08415, section 2


_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: x.clip(min=0),
    "relu6": lambda x: x.clip(min=0, max=6),
    "silu": lambda x: x * _sigmoid(x),
    "gelu": _gelu,
    "sigmoid": _sigmoid,
    "hard_silu": lambda x: x * _hard_sigmoid(x),
    "hard_sigmoid": _hard_sigmoid,
}


def _sum(call: Call, below: Sequence[Expected]) -> Expected:
    mean = sum(moments.mean for moments in below)
    return Expected(mean, mean**2 + sum(moments.square - moments.mean**2 for moments in below))


def _product(call: Call, below: Sequence[Expected]) -> Expected:
    return Expected(
        prod(moments.mean for moments in below), prod(moments.square for moments in below)
    )


def _joined(call: Call, below: Sequence[Expected]) -> Expected:
    channels = [count for _, count in call.inputs]
    shares = [count / sum(channels) for count in channels]
    pairs = list(zip(shares, below, strict=True))
    return Expected(
        sum(share * one.mean for share, one in pairs),
        sum(share * one.square for share, one in pairs),
    )


def _rescaled(call: Call, below: Sequence[Expected]) -> Expected:
    import numpy as np

    if call.scale is None:
        return below[0]
    scale, offset = (np.asarray(one, np.float64) for one in (call.scale, call.offset))
    mean, square = below[0]
    after = (scale**2 * square, 2 * scale * offset * mean, offset**2)
    return Expected(float(np.mean(scale * mean + offset)), float(np.mean(sum(after))))


_COMBINED: dict[str, Callable[[Call, Sequence[Expected]], Expected]] = {
    "Add": _sum,
    "Multiply": _product,
    "Rescaling": _rescaled,
    "Normalization": _rescaled,
}
