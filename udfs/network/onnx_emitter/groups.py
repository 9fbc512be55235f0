"""A group of steps → one convolution or product with its batch norm folded in, and what follows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vista_sql.errors import PlanError

from ..graph import Graph, Group
from ..steps import BatchNorm, Convolution, Dense, fused_activation
from .activations import activated
from .kinds import convolution, dense
from .writer import Value, Writer


def emit(
    writer: Writer,
    graph: Graph,
    group: Group,
    name: str,
    source: str,
    known: Mapping[str, Value],
) -> Value:
    """Write a group up to its member `name`, given the value of `source`.

    Returns:
        The member's value; of the group's head what the whole group computes.

    Raises:
        PlanError: the activation has no name.
    """
    if graph.tail_is_exact(source, name):
        return activated(writer, known[source], group.activation)
    members = group.members[: group.members.index(name) + 1]
    value = known[graph.needs(name, source)[0]]
    kernel, bias = weights(graph, group, folded=name != group.core)
    core = group.operation
    if not core.activation:
        raise PlanError(
            f"layer {group.core!r} cannot be written in ONNX: its activation is not one of Keras's"
        )
    own = fused_activation(core)
    match core:
        case Dense():
            result = dense.product(writer, value, kernel, bias)
        case Convolution():
            pads = convolution.pads(core, value.shape)
            if group.padding is not None and source != group.pad:
                before = group.padding
                pads = (before.top, before.left, before.bottom, before.right)
            result = convolution.convolved(writer, value, core, kernel, bias, pads)
    if group.add is not None and group.other is not None and group.add in members:
        result, other = writer.alike([result, known[group.other]])
        result = writer.apply("Add", result, other)
    if own or name == group.head:
        result = activated(writer, result, group.activation)
    return result if own else activated(writer, result, core.activation)


def weights(graph: Graph, group: Group, folded: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a group's kernel and bias, float32, with its batch norm folded in or without.

    kernel × factor and (bias - mean) × factor + beta, with factor = gamma / sqrt(variance +
    epsilon) computed in float64.
    """
    core = group.operation
    kernel = np.asarray(core.kernel, np.float32)
    bias = None if core.bias is None else np.asarray(core.bias, np.float32)
    norm = graph.steps[group.norm].operation if folded and group.norm is not None else None
    if not isinstance(norm, BatchNorm):
        return kernel, bias
    factor, shift = scale_and_shift(norm)
    if bias is not None:
        shift = shift + bias.astype(np.float64) * factor
    single = factor.astype(np.float32)
    if kernel.shape[-1] != len(single):  # depthwise: (height, width, channels, 1)
        single = single[:, None]
    return kernel * single, shift.astype(np.float32)


def scale_and_shift(norm: BatchNorm) -> tuple[np.ndarray, np.ndarray]:
    """Return a batch norm as values × scale + shift, float64 (channels,)."""
    scale = 1 / np.sqrt(np.asarray(norm.variance, np.float64) + norm.epsilon)
    if norm.gamma is not None:
        scale = scale * np.asarray(norm.gamma, np.float64)
    shift = -np.asarray(norm.mean, np.float64) * scale
    if norm.beta is not None:
        shift = shift + np.asarray(norm.beta, np.float64)
    return scale, shift
