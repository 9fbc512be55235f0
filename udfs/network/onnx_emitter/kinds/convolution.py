"""`Convolution`: ONNX's Conv, with the padding as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from ...steps import Convolution, Sides, Step
from ..activations import activated
from ..writer import Shape, Value, Writer

Pads: TypeAlias = tuple[int, int, int, int]
"""(top, left, bottom, right), as ONNX orders them."""


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write a convolution that is in no group."""
    assert isinstance(step.operation, Convolution)  # noqa: S101 - the file's name says so
    core = step.operation
    kernel = np.asarray(core.kernel, np.float32)
    bias = None if core.bias is None else np.asarray(core.bias, np.float32)
    result = convolved(writer, inputs[0], core, kernel, bias, pads(core, inputs[0].shape))
    return activated(writer, result, core.activation or step.name)


def convolved(
    writer: Writer,
    value: Value,
    core: Convolution,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    pads: Pads,
) -> Value:
    """Return a map's convolution, without activation.

    Args:
        writer: of the model.
        value: the map.
        core: strides, dilations and groups.
        kernel: float32, as `Convolution` describes it.
        bias: float32 (filters,), or None.
        pads: zeros around the map.
    """
    height, width, *_ = kernel.shape
    if core.depthwise:  # (height, width, channels, multiplier)
        groups, filters = kernel.shape[2], kernel.shape[2] * kernel.shape[3]
        turned = kernel.transpose(2, 3, 0, 1).reshape(filters, 1, height, width)
    else:
        groups, filters = core.groups, kernel.shape[3]
        turned = kernel.transpose(3, 2, 0, 1)
    first = writer.first(value)
    names = [first.name, writer.constant(turned)]
    name = writer.node(
        "Conv",
        names if bias is None else [*names, writer.constant(bias)],
        kernel_shape=(height, width),
        strides=core.strides,
        dilations=core.dilations,
        pads=pads,
        group=groups,
    )
    top, left, bottom, right = pads
    sides = (
        windows(side, one, stride, dilation)
        for side, one, stride, dilation in zip(
            (value.shape[0] + top + bottom, value.shape[1] + left + right),
            (height, width),
            core.strides,
            core.dilations,
            strict=True,
        )
    )
    return Value(name, (*sides, filters), "channels_first")


def pads(core: Convolution, shape: Shape) -> Pads:
    """Return the zeros around a map that the padding of a convolution stands for."""
    size = (core.kernel.shape[0], core.kernel.shape[1])
    return same(shape, size, core.strides, core.dilations) if core.padding == "same" else (0,) * 4


def same(shape: Shape, size: Sides, strides: Sides, dilations: Sides = (1, 1)) -> Pads:
    """Return the padding of 'same': as many windows as strides begin, an odd pixel at the end.

    Example:
        >>> same((7, 7, 3), (3, 3), (2, 2)), same((8, 8, 3), (3, 3), (2, 2))
        ((1, 1, 1, 1), (0, 0, 1, 1))
    """
    starts, ends = [], []
    for side, one, stride, dilation in zip(shape[:2], size, strides, dilations, strict=True):
        reach = (-(-side // stride) - 1) * stride + (one - 1) * dilation + 1
        missing = max(reach - side, 0)
        starts.append(missing // 2)
        ends.append(missing - missing // 2)
    return (starts[0], starts[1], ends[0], ends[1])


def windows(side: int, size: int, stride: int, dilation: int = 1) -> int:
    """Return how many windows fit into a side."""
    return (side - (size - 1) * dilation - 1) // stride + 1
