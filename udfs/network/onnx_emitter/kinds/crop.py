"""`Crop`: a map without some pixels at its sides."""

from __future__ import annotations

from collections.abc import Sequence

from ...steps import Crop, Step
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, Crop)  # noqa: S101 - the file's name says so
    crop, value = step.operation, inputs[0]
    height, width, channels = value.shape
    ends = height - crop.bottom, width - crop.right
    bounds = [writer.constant(one) for one in ((crop.top, crop.left), ends, value.spatial_axes)]
    name = writer.node("Slice", [value.name, *bounds])
    return Value(name, (ends[0] - crop.top, ends[1] - crop.left, channels), value.layout)
