"""A Keras network → its catalogue: each layer's shape, parameters and operations, counted."""

from __future__ import annotations

from math import prod
from typing import Any, TypeAlias

from vista_sql.roster import Layer, Network

KerasLayer: TypeAlias = Any
Node: TypeAlias = Any  # one call of a layer
Tensor: TypeAlias = Any


def entries(network: Network) -> tuple[Layer, ...]:
    """Return the catalogue of a Keras functional or sequential network, bottom to top.

    Left out: the input, and layers that do not return exactly one tensor of known shape. Operations
    are those of all layers between the image and the layer's output; a layer that is used more than
    once counts once.
    """
    import keras

    costs = {id(layer): multiply_adds(layer) for layer in network.layers}
    below: dict[int, frozenset[int]] = {}
    rows = []
    for layer in network.layers:
        output = _output(layer)
        if output is None or isinstance(layer, keras.layers.InputLayer):
            continue
        operations = _below(layer._inbound_nodes[0], below)
        rows.append(
            Layer(
                name=layer.name,
                shape=tuple(output.shape[1:]),
                flops=2 * sum(costs.get(operation, 0) for operation in operations),
                parameters=layer.count_params(),
                inputs=_inputs(layer),
            )
        )
    return tuple(rows)


def _below(node: Node, known: dict[int, frozenset[int]]) -> frozenset[int]:
    """Return the ids of the operations that a call of a layer stands on, its own among them.

    `known` holds what was found for other calls, and gets what is found here.
    """
    pending = [node]
    while pending:
        missing = [parent for parent in pending[-1].parent_nodes if id(parent) not in known]
        if missing:
            pending += missing
            continue
        call = pending.pop()
        parents = (known[id(parent)] for parent in call.parent_nodes)
        known[id(call)] = frozenset({id(call.operation)}).union(*parents)
    return known[id(node)]


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
