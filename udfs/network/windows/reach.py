"""Which part of its input a step's part of a map is computed from, and the other way round.

One side of a map at a time: an interval [start, end) of rows or of columns.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from ..graph import Graph
from ..onnx_emitter.kinds.convolution import same
from ..onnx_emitter.paddings import is_never_negative
from ..onnx_emitter.writer import shape_of
from ..steps import (
    Activate,
    Add,
    BatchNorm,
    Concatenate,
    Convolution,
    Dense,
    Identity,
    LayerNorm,
    Multiply,
    Pad,
    PartialConvolution,
    Pooling,
    Relu,
    Rescale,
    ResponseNorm,
    ScaleChannels,
    SeparableConvolution,
    Standardize,
    Step,
    Subsample,
)

Interval: TypeAlias = tuple[int, int]
"""[start, end) of one side."""


class Reach(Struct, frozen=True):
    """How one side of a step's output depends on that side of its input."""

    size: int = 1  # input values of one output value, from the first to the last
    stride: int = 1
    before: int = 0  # zeros before the input's first value
    after: int = 0

    def forward(self, changed: Interval, side: int) -> Interval:
        """Return which outputs of `side` see a changed part of the input; at least one.

        Example: a 3 × 3 convolution with stride 2 over 8 values, one zero after them
            >>> Reach(3, 2, 0, 1).forward((4, 5), 4), Reach(3, 2, 0, 1).forward((5, 6), 4)
            ((1, 3), (2, 3))
        """
        first = -(-(changed[0] + self.before - self.size + 1) // self.stride)
        last = (changed[1] - 1 + self.before) // self.stride
        first = min(max(first, 0), side - 1)
        return first, min(max(last, first), side - 1) + 1

    def backward(self, wanted: Interval) -> Interval:
        """Return which input a part of the output is computed from; padding included.

        Example:
            >>> Reach(3, 1, 1, 1).backward((0, 2))
            (-1, 3)
        """
        start = wanted[0] * self.stride - self.before
        return start, (wanted[1] - 1) * self.stride - self.before + self.size


POINT = Reach()

BY_PLACE = (
    Activate, Add, BatchNorm, Concatenate, Dense, Identity, LayerNorm, Multiply, Relu, Rescale,
    ResponseNorm, ScaleChannels, Standardize,
)  # fmt: skip
"""Operations that compute each place of a map from that place alone, if their shapes are alike."""


def reach(graph: Graph, step: Step) -> tuple[Reach, Reach] | None:
    """Return how rows and columns of a step depend on its inputs'; None: on all of the map."""
    below = [graph.steps[name] for name in step.inputs]
    if not below or not all(map(_is_map, (step, *below))):
        return None
    height, width, _ = shape_of(below[0])
    match step.operation:
        case Convolution() as core:
            grouped = graph.group_of(step.name) is not None
            if core.padding == "same" and not grouped:
                return None  # an engine may run it as the framework has it, padding and all
            return _windows(
                (height, width), core.kernel.shape, core.strides, core.padding, core.dilations
            )
        case SeparableConvolution(padding="valid") as core:
            return _windows(
                (height, width), core.depthwise.shape, core.strides, "valid", core.dilations
            )
        case Pooling(reduction, size, strides, padding):
            found = _windows((height, width), size, strides, padding)
            pads = any(side.before or side.after for side in found)
            largest = reduction == "max" and is_never_negative(graph, step.inputs[0])
            return None if pads and not largest else found
        case Pad(top, bottom, left, right):
            return Reach(before=top, after=bottom), Reach(before=left, after=right)
        case Subsample():
            return Reach(2, 2), Reach(2, 2)
        case PartialConvolution(kernel):
            return _windows((height, width), kernel.shape, (1, 1), "valid")
    if not isinstance(step.operation, BY_PLACE):
        return None
    alike = all(shape_of(one)[:2] == shape_of(step)[:2] for one in below)
    return (POINT, POINT) if alike and _is_by_place(step) else None


def _is_map(step: Step) -> bool:
    return step.shape is not None and len(step.shape) == 3 and None not in step.shape


def _is_by_place(step: Step) -> bool:
    match step.operation:
        case BatchNorm(axis=axis) | Concatenate(axis):
            return axis in (-1, 3)
    return True


def _windows(
    sides: tuple[int, int],
    size: tuple[int, ...],
    strides: tuple[int, int],
    padding: str,
    dilations: tuple[int, int] = (1, 1),
) -> tuple[Reach, Reach]:
    top, left, bottom, right = (
        same((*sides, 1), (size[0], size[1]), strides, dilations)
        if padding == "same"
        else (0, 0, 0, 0)
    )
    tall, wide = ((one - 1) * dilation + 1 for one, dilation in zip(size, dilations, strict=False))
    return Reach(tall, strides[0], top, bottom), Reach(wide, strides[1], left, right)
