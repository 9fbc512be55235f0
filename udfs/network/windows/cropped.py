"""A segment of a network and a recipe for each side → the network that computes one window."""

from __future__ import annotations

from typing import TypeAlias

from msgspec.structs import replace

from ..graph import Graph
from ..onnx_emitter.writer import shape_of
from ..steps import (
    Convolution,
    Crop,
    Identity,
    Image,
    Operation,
    Pad,
    Pooling,
    Step,
)
from .segments import Recipe, Segment

Sides: TypeAlias = tuple[int, int, int, int]
"""Top, bottom, left, right."""

NO_ZEROS = (0, 0, 0, 0)

WINDOW = "window"
"""The input of a network that begins at a layer's values."""


def cropped(segment: Segment, down: Recipe, across: Recipe) -> Graph:
    """Return the network of a window.

    It begins at a step with the name of the segment's start, which is the input itself where that
    is the image, and ends at the segment's end. Its weights are the segment's.

    Args:
        segment: of the whole network.
        down: the recipe of the window's rows.
        across: of its columns.
    """
    graph, start = segment.graph, segment.start
    heights, widths = dict(down.lengths), dict(across.lengths)
    reads = {
        (name, number): (read, other)
        for (name, number, read), (_, _, other) in zip(down.reads, across.reads, strict=True)
    }

    def shape(name: str) -> tuple[int, int, int]:
        return heights[name], widths[name], shape_of(graph.steps[name])[2]

    if start == graph.input:
        steps = [Step(start, Image(), (), shape(start))]
    else:
        window = Step(WINDOW, Image(), (), shape(start))
        steps = [window, Step(start, Identity(), (WINDOW,), shape(start))]
    for name in segment.steps:
        step = graph.steps[name]
        inputs, operation = [], _without_padding(step.operation)
        for number, below in enumerate(step.inputs):
            rows, columns = reads[name, number]
            zeros = rows.zeros_before, rows.zeros_after, columns.zeros_before, columns.zeros_after
            if isinstance(step.operation, Pad):
                operation, zeros = Pad(*zeros) if any(zeros) else Identity(), NO_ZEROS
            off = rows.before, rows.after, columns.before, columns.after
            needed = _needed(f"{name} {number}", below, shape(below), off, zeros)
            steps += needed
            inputs.append(needed[-1].name if needed else below)
        origin = step.origin if operation is step.operation else None
        steps.append(Step(name, operation, tuple(inputs), shape(name), origin))
    return Graph(f"{graph.name} {start} to {segment.end}", steps, segment.end)


def _needed(
    name: str, below: str, shape: tuple[int, int, int], off: Sides, zeros: Sides
) -> list[Step]:
    """Return the steps from a window of a map to what a step reads of it, zeros included."""
    steps: list[Step] = []
    height, width, channels = shape
    if any(off):
        height, width = height - off[0] - off[1], width - off[2] - off[3]
        steps.append(Step(f"{name} crop", Crop(*off), (below,), (height, width, channels)))
        below = steps[-1].name
    if any(zeros):
        height, width = height + zeros[0] + zeros[1], width + zeros[2] + zeros[3]
        steps.append(Step(f"{name} pad", Pad(*zeros), (below,), (height, width, channels)))
    return steps


def _without_padding(operation: Operation) -> Operation:
    """Return an operation whose padding stands before it, if it is any."""
    match operation:
        case Convolution(padding="same") | Pooling(padding="same"):
            return replace(operation, padding="valid")
    return operation
