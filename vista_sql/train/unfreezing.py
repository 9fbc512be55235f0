"""What of a network is tuned: names of layers → those whose weights change, and where that begins.

Only the catalogue of layers is read: a statement is planned by it.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from vista_sql.errors import ArgumentError
from vista_sql.roster import Cnn, Layer

IMAGE = ""
"""The start that is the image itself, as the catalogue has it."""


class Unfrozen(Struct, frozen=True):
    """Layers whose weights are tuned, and the layer from whose stored map on that is computed."""

    layers: tuple[str, ...]  # the network's own names, bottom to top
    start: str  # its own name, or IMAGE


def upward(cnn: Cnn, name: str, top: str) -> Unfrozen:
    """Return a layer and all that follow it up to `top`.

    They are those that stand behind it in the network's order, beside it too.

    Args:
        cnn: the network.
        name: the layer, by either name; without weights of its own, what it `stands_for`.
        top: the layer that the head reads.

    Raises:
        UnknownNameError: there is no such layer.
        ArgumentError: it lies above `top`, or nothing between the two has weights.

    Example:
        >>> from vista_sql import roster
        >>> upward(roster.load("lenet5"), "conv3", "f6")
        Unfrozen(layers=('c5_map', 'f6'), start='s4')
        >>> upward(roster.load("resnet18"), "conv5_2", "avg_pool").start
        'conv5_block1_out'
    """
    first = min(cnn.positions[layer] for layer in _named(cnn, name, top))
    below = _below(cnn, top)
    behind = (layer for layer in cnn.layers[first:] if layer.name in below and layer.parameters)
    return _from(cnn, (layer.name for layer in behind), top)


def exactly(cnn: Cnn, names: Iterable[str], top: str) -> Unfrozen:
    """Return the layers named, and no others; the arguments and errors are those of `upward`.

    Example:
        >>> from vista_sql import roster
        >>> exactly(roster.load("lenet5"), ["conv2"], "f6")
        Unfrozen(layers=('c3',), start='s2')
    """
    named = {layer for name in names for layer in _named(cnn, name, top)}
    return _from(cnn, sorted(named, key=cnn.positions.__getitem__), top)


def stands_for(cnn: Cnn, layer: Layer) -> tuple[str, ...]:
    """Return a layer, if it has weights; else those that compute it from the nearest start below.

    The end of a residual block stands for the block, a pooling for the convolution below it.
    """
    if layer.parameters:
        return (layer.name,)
    own = _below(cnn, layer.name)
    starts = [one.name for one in cnn.layers if cnn.determines(one, layer)]
    for start in (*reversed(starts), IMAGE):
        without = _below(cnn, start) if start else frozenset()
        between = [one.name for one in cnn.layers if one.name in own - without and one.parameters]
        if between:
            return tuple(between)
    return ()


def _named(cnn: Cnn, name: str, top: str) -> tuple[str, ...]:
    layer = cnn.layer(name)
    if layer.name not in _below(cnn, top):
        raise ArgumentError(
            f"layer {name!r} is not below {top!r}, which the head reads: unfreeze that, or a layer "
            "below it"
        )
    found = stands_for(cnn, layer)
    if not found:
        raise ArgumentError(f"neither layer {name!r} nor one below it has weights to tune")
    return found


def _from(cnn: Cnn, layers: Iterable[str], top: str) -> Unfrozen:
    """Return tuned layers with the highest start that none of them lies below.

    It is the image where nothing below it has weights, but only pads or scales.
    """
    tuned = tuple(layers)
    wanted = [cnn.layer(name) for name in {*tuned, top}]
    for layer in reversed(cnn.layers):
        if layer.name in (*tuned, top) or not all(cnn.determines(layer, one) for one in wanted):
            continue
        if any(cnn.layers[cnn.positions[name]].parameters for name in _below(cnn, layer.name)):
            return Unfrozen(tuned, layer.name)
        break
    return Unfrozen(tuned, IMAGE)


def _below(cnn: Cnn, name: str) -> frozenset[str]:
    """Return a layer and all that it is computed from, by the network's own names."""
    found: set[str] = set()
    pending = [name]
    while pending:
        one = pending.pop()
        if one not in found and one in cnn.positions:
            found.add(one)
            pending += cnn.layers[cnn.positions[one]].inputs
    return frozenset(found)
