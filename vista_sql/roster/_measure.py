"""Measure a Keras network: every layer's shape, parameters and floating-point operations."""

from __future__ import annotations

from math import prod
from typing import Any, TypeAlias

from vista_sql.roster import Layer, Network

KerasLayer: TypeAlias = Any
Tensor: TypeAlias = Any


def measure(network: Network) -> tuple[Layer, ...]:
    """Return the layers of a Keras functional or sequential network, bottom to top.

    Left out: the input, and layers that do not return exactly one tensor of known shape. Operations
    are those of all layers between the image and the layer's output; a layer that is used more than
    once counts once.
    """
    import keras

    found = []
    for layer in network.layers:
        output = _output(layer)
        if output is None or isinstance(layer, keras.layers.InputLayer):
            continue
        below = keras.Model(network.inputs, output).layers
        found.append(
            Layer(
                name=layer.name,
                shape=tuple(output.shape[1:]),
                flops=2 * sum(multiply_adds(ancestor) for ancestor in below),
                parameters=layer.count_params(),
                inputs=_inputs(layer),
            )
        )
    return tuple(found)


def _inputs(layer: KerasLayer) -> tuple[str, ...]:
    """Return the names of the layers that a layer reads; the network's input is ""."""
    import keras

    parents = [node.operation for node in layer._inbound_nodes[0].parent_nodes]
    names = ("" if isinstance(p, keras.layers.InputLayer) else p.name for p in parents)
    return tuple(dict.fromkeys(names)) or ("",)


def multiply_adds(layer: KerasLayer) -> int:
    """Return the multiply-adds of one layer for one image.

    Counted: each weight of a kernel (anything of two axes or more) once per place it is applied at,
    which is exact for dense, convolutional (grouped, depthwise, separable, partial, transposed)
    layers. Not counted: element-wise work (bias, activation, normalisation) and pooling.
    """
    import keras

    if inner := getattr(layer, "layers", None):
        return sum(multiply_adds(part) for part in inner)
    side = layer.input if isinstance(layer, keras.layers.Conv2DTranspose) else _output(layer)
    weights = sum(prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1)
    return weights * prod(side.shape[1:-1]) if weights and side is not None else 0


def _output(layer: KerasLayer) -> Tensor | None:
    """Return the layer's only output tensor, or None where there is no such thing."""
    try:
        output = layer.output
    except (AttributeError, ValueError):  # several outputs by several calls, or never called
        return None
    shape = getattr(output, "shape", None)
    if shape is None or len(shape) < 2 or None in shape[1:]:
        return None
    return output
