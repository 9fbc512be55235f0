"""Which networks run without Keras's layers: from data, which takes no time to be made.

It mirrors `lower.Lowered`: what that emits itself, of steps whose weights are arrays.
"""

from __future__ import annotations

from collections.abc import Callable

from vista_sql.roster import Cnn, kind_of_file

from ...graph import Graph
from ...steps import (
    Activate,
    Add,
    Concatenate,
    Crop,
    GlobalPool,
    Identity,
    Image,
    Pad,
    Pooling,
    Relu,
    Reshape,
    Step,
    fused_activation,
)


def needs_keras(cnn: Cnn, data: Callable[[], Graph]) -> bool:
    """Return whether a step of a network is a Keras layer's to compute; of a user's file it is."""
    if kind_of_file(cnn.name):
        return True
    graph = data()
    return not all(_is_native(graph, step) for step in graph.steps.values())


def _is_native(graph: Graph, step: Step) -> bool:
    group = graph.group_of(step.name)
    if group is not None:
        return bool(group.operation.activation)
    match step.operation:
        case Image() | Pooling() | GlobalPool() | Pad() | Crop() | Reshape() | Identity():
            return True
        case Concatenate(axis):
            return axis in (-1, len(step.shape or ()))
        case Add():
            return len({graph.steps[name].shape for name in step.inputs}) == 1
        case Activate(activation):
            return bool(activation)
        case Relu() as operation:
            return bool(fused_activation(operation))
    return False
