"""`Pad`: zeros around a map."""

from __future__ import annotations

from collections.abc import Sequence

from ...steps import Pad, Step
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, Pad)  # noqa: S101 - the file's name says so
    pad, value = step.operation, writer.first(inputs[0])
    sides = (0, 0, pad.top, pad.left, 0, 0, pad.bottom, pad.right)
    name = writer.node("Pad", [value.name, writer.constant(sides)])
    height, width, channels = value.shape
    shape = (height + pad.top + pad.bottom, width + pad.left + pad.right, channels)
    return Value(name, shape, "channels_first")
