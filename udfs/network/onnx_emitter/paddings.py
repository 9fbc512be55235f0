"""Zeros around a map whose largest values are taken next → a padding of that pooling.

ONNX's pooling has its own padding, which counts for nothing: the same where no value is below zero.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..graph import Graph
from ..steps import Activate, Pad, Pooling, Relu, fused_activation

Sides = tuple[int, int, int, int]
"""Top, left, bottom, right; in pixels."""


def taken_over(
    graph: Graph, order: Sequence[str], targets: Collection[str]
) -> dict[str, tuple[str, Sides]]:
    """Return the poolings of `order` that pad by themselves: from which step, and by how much.

    The steps that only they read, with the zeros, need not be written; one that is given, is read.

    Args:
        graph: the network.
        order: what is written.
        targets: what is asked for, and so written in any case.
    """
    found = {}
    for name in order:
        step = graph.steps[name]
        before = graph.steps[step.inputs[0]] if step.inputs else step
        match step.operation, before.operation:
            case Pooling("max", size, padding="valid"), Pad(top, bottom, left, right):
                fits = max(top, bottom) < size[0] and max(left, right) < size[1]
                written = before.name in order and before.name not in targets
                alone = written and graph.users(before.name) == [name]
                if fits and alone and is_never_negative(graph, before.inputs[0]):
                    found[name] = (before.inputs[0], (top, left, bottom, right))
    return found


def is_never_negative(graph: Graph, name: str) -> bool:
    """Return whether a step ends in a ReLU: zeros are none larger than its values."""
    group = graph.group_of(name)
    if group is not None and group.head == name and group.activation:
        return True  # a ReLU, as all that are fused
    operation = graph.steps[name].operation
    return isinstance(operation, Activate | Relu) and bool(fused_activation(operation))
