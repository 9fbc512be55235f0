"""A Keras network → its catalogue: each layer's shape, parameters and operations, counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import prod

from msgspec import NODEFAULT
from msgspec.structs import asdict, fields

from vista_sql import catalog, kernels
from vista_sql.roster import Layer, Network
from vista_sql.roster.catalogue.uses import KerasLayer, Use, uses


def entries(network: Network) -> tuple[Layer, ...]:
    """Return the catalogue of a Keras functional or sequential network, bottom to top.

    Layers of networks in the network are there too, as `uses` names them, before the layer that
    the inner network is; that one's parameters are those of all its layers.

    Left out: the input, and what does not return exactly one tensor of floats of known shape.
    Operations are those of all layers between the image and the layer's output.
    """
    import keras

    graph = catalog.module(kernels.PACKAGE, "network.keras_reader").read(network)
    found, _ = uses(network)
    by_name = {use.name: use for use in found}
    costs = {use.name: 0 if use.node is None else _cost(use, by_name) for use in found}
    below: dict[str, frozenset[str]] = {}
    for use in found:
        below[use.name] = frozenset({use.name}).union(*(below[name] for name, _ in use.inputs))
    read: dict[str, tuple[str, ...]] = {}  # use → itself; or what it reads, where it has no row
    rows = []
    for use in sorted(found, key=lambda use: use.place):
        inputs = dict.fromkeys(one for name, _ in use.inputs for one in read[name]) or {"": None}
        shape = None if isinstance(use.layer, keras.layers.InputLayer) else _shape(use)
        read[use.name] = tuple(inputs) if shape is None else (use.name,)
        if shape is None:
            continue
        rows.append(
            Layer(
                name=use.name,
                shape=shape,
                flops=2 * sum(costs[name] for name in below[use.name]),
                parameters=sum(prod(w.shape) for w in getattr(use.layer, "weights", ())),
                inputs=tuple(inputs),
                can_start=graph.can_start(use.name),
            )
        )
    return tuple(rows)


def written(layers: Sequence[Layer]) -> str:
    """Return the text of a catalogue: a line per layer."""
    usual = {one.name: one.default for one in fields(Layer) if one.name != "inputs"}
    rows = [
        {
            name: value
            for name, value in asdict(layer).items()
            if value != usual.get(name, NODEFAULT)
        }
        for layer in layers
    ]
    return '{"layers": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]}\n"


def _shape(use: Use) -> tuple[int, ...] | None:
    """Return the shape of a use's maps or vectors; a single value is a vector of one."""
    sides = use.shape
    if sides is None:
        return None
    known = tuple(side for side in sides if side is not None)
    return None if len(known) < len(sides) else known or (1,)


def _cost(use: Use, by_name: dict[str, Use]) -> int:
    before = [by_name[name].outputs[place].shape for name, place in use.inputs]
    return multiply_adds(use.layer, before[0] if before else (), use.outputs[0].shape)


def multiply_adds(
    layer: KerasLayer, before: Sequence[int | None], after: Sequence[int | None]
) -> int:
    """Return the multiply-adds of one layer for one image.

    Counted: each weight of a kernel (anything of two axes or more) once per place it is applied at,
    which is exact for dense, convolutional (grouped, depthwise, separable, partial, transposed)
    layers. Not counted: element-wise work (bias, activation, normalisation) and pooling.

    Args:
        layer: a layer, or an operation that is none.
        before: (batch, …) of what it reads.
        after: (batch, …) of its result.
    """
    import keras

    kernels = [weight for weight in getattr(layer, "weights", ()) if len(weight.shape) > 1]
    if not kernels:
        return 0
    if getattr(layer, "layers", None) and getattr(layer, "outputs", None):
        inner, _ = uses(layer)  # a network that is run as one
        return sum(_cost(use, {one.name: one for one in inner}) for use in inner if use.node)
    side = before if isinstance(layer, keras.layers.Conv2DTranspose) else after
    weights: int = sum(prod(one.shape) for one in kernels)
    return weights * prod(length or 1 for length in side[1:-1])
