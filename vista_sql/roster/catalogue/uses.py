"""A Keras network → every use of a layer in it, those of the networks inside it among them.

A network in the network is opened: the layer `deep` of the inner network `backbone` is
`backbone/deep`, at any depth, and `backbone` itself is what the inner network returns. The first
call of a layer has its name, further ones are `name#1`, `name#2` …, in the order of the calls; so
have inner networks that are called more than once (`backbone#1/deep`). An operation that is no
layer (`x + y`, `keras.ops.relu(x)`) has the name that Keras gave it, which a `.keras` file keeps.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from vista_sql.roster import Network

KerasLayer: TypeAlias = Any
"""A layer, or an operation that is none."""
KerasNode: TypeAlias = Any  # one call of a layer
KerasTensor: TypeAlias = Any
Source: TypeAlias = tuple[str, int]  # a use, and which of its outputs

OPENED = ("Functional", "Sequential")


class Use(Struct, frozen=True, eq=False):
    """One call of a layer, or what a network in the network returns.

    Attributes:
        name: its own in the network.
        layer: the layer, the operation, or the inner network.
        node: Keras's record of the call; None: of an inner network, whose layers are uses too.
        inputs: what it reads, in the call's order.
        outputs: (batch, …) each; the batch is None.
        place: where it stands in Keras's order of the layers, bottom to top.
    """

    name: str
    layer: KerasLayer
    node: KerasNode | None
    inputs: tuple[Source, ...]
    outputs: tuple[KerasTensor, ...]
    place: tuple[int, ...]

    @property
    def shape(self) -> tuple[int | None, ...] | None:
        """The shape of the only output, without the batch; None: several, or not of floats."""
        import keras

        if len(self.outputs) != 1 or not keras.backend.is_float_dtype(self.outputs[0].dtype):
            return None
        return tuple(self.outputs[0].shape[1:])


def uses(network: Network) -> tuple[tuple[Use, ...], str]:
    """Return the uses that a functional or sequential network's outputs come from.

    Returns:
        Each use after what it reads, and the name of the one that the first output is of.
    """
    found: dict[str, Use] = {}
    outputs = _walk(network, "", (), (), found)
    return tuple(found.values()), outputs[0][0]


def _walk(
    network: Network,
    prefix: str,
    place: tuple[int, ...],
    given: Sequence[Source],
    found: dict[str, Use],
) -> list[Source]:
    """Add a network's uses to `found`; `given` are its inputs, of an inner one. Return its outputs.

    `prefix` and `place` are those of the inner network's use.
    """
    nodes = _nodes(network.outputs)
    known = {_origin(own): source for own, source in zip(network.inputs, given, strict=False)}
    numbers, places = _numbers(nodes), _places(network)
    for node in nodes:
        if (id(node), 0) in known:
            continue  # an inner network's input
        layer, number = node.operation, numbers[id(node)]
        name = prefix + (f"{layer.name}#{number}" if number else layer.name)
        here = (*place, places[id(node)])
        inputs = tuple(known[_origin(tensor)] for tensor in node.input_tensors)
        tensors = [found[needed].outputs[output] for needed, output in inputs]
        outputs = _outputs(node, tensors)
        if _is_opened(layer, node, tensors):
            results = _walk(layer, f"{name}/", here, inputs, found)
            if len(results) > 1:
                known |= {(id(node), i): result for i, result in enumerate(results)}
                continue
            node_or_none, inputs, here = None, (results[0],), (*here, sys.maxsize)
        else:
            node_or_none = node
        known |= {(id(node), i): (name, i) for i in range(len(outputs))}
        found[name] = Use(name, layer, node_or_none, inputs, outputs, here)
    return [known[_origin(tensor)] for tensor in network.outputs]


def _nodes(outputs: Iterable[KerasTensor]) -> list[KerasNode]:
    """Return the nodes that outputs come from, each after those that it needs."""
    nodes: dict[int, KerasNode] = {}
    for output in outputs:
        stack = [(_node(output), False)]
        while stack:
            node, ready = stack.pop()
            if id(node) in nodes:
                continue
            if ready:
                nodes[id(node)] = node
                continue
            stack.append((node, True))
            stack.extend((parent, False) for parent in reversed(node.parent_nodes))
    return list(nodes.values())


def _node(tensor: KerasTensor) -> KerasNode:
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def _origin(tensor: KerasTensor) -> tuple[int, int]:
    return id(_node(tensor)), tensor._keras_history.tensor_index


def _numbers(nodes: Iterable[KerasNode]) -> Mapping[int, int]:
    """Return of each node how many calls of its layer came before it in the network."""
    numbers: dict[int, int] = {}
    within = {id(node) for node in nodes}
    for node in nodes:
        if id(node) not in numbers:
            calls = [id(one) for one in node.operation._inbound_nodes if id(one) in within]
            numbers |= {call: number for number, call in enumerate(calls)}
    return numbers


def _places(network: Network) -> Mapping[int, int]:
    """Return each node's place in the order of `network.layers`: by depth, then as they came."""
    network = getattr(network, "_functional", None) or network  # a Sequential's
    ranks = {id(operation): rank for rank, operation in enumerate(network.operations)}
    ordered = sorted(
        (-depth, ranks[id(node.operation)], number, id(node))
        for depth, nodes in network._nodes_by_depth.items()
        for number, node in enumerate(nodes)
    )
    return {node: place for place, (*_, node) in enumerate(ordered)}


def _outputs(node: KerasNode, given: Sequence[KerasTensor]) -> tuple[KerasTensor, ...]:
    """Return a call's outputs, with the shapes that they have of what it is given.

    They are other ones where an inner network was made for images of any size.
    """
    import keras

    own = node.input_tensors
    if all(mine.shape == other.shape for mine, other in zip(own, given, strict=True)):
        return tuple(node.outputs)
    args, kwargs = node.arguments.fill_in(dict(zip(map(id, own), given, strict=True)))
    return tuple(keras.tree.flatten(node.operation.compute_output_spec(*args, **kwargs)))


def _is_opened(layer: KerasLayer, node: KerasNode, given: Sequence[KerasTensor]) -> bool:
    """Return whether a call of an inner network is no more than the calls of its layers.

    It is more where the network is of the user's own class, or changes what it is given: its rank
    or its type.
    """
    import keras

    kind = type(layer)
    if not (issubclass(kind, keras.Model) and kind.__module__.startswith("keras.")):
        return False
    inputs = getattr(layer, "inputs", None) or ()
    args, kwargs = node.arguments.args, node.arguments.kwargs
    others = keras.tree.flatten({name: kwargs[name] for name in kwargs if name != "training"})
    plain = len(args) == 1 and all(one is None for one in others)
    if kind.__name__ not in OPENED or not plain or len(inputs) != len(given):
        return False
    if len(inputs) > 1 and not isinstance(args[0], list | tuple):
        return False
    return all(_fits(*pair) for pair in zip(inputs, given, strict=True))


def _fits(own: KerasTensor, given: KerasTensor) -> bool:
    sides = zip(own.shape, given.shape, strict=False)
    alike = own.dtype == given.dtype and len(own.shape) == len(given.shape)
    return alike and all(mine in (None, other) for mine, other in sides)
