"""`Concatenate`: all inputs, one behind the other along an axis."""

from __future__ import annotations

from collections.abc import Sequence

from ...steps import Concatenate, Step
from ..writer import Value, Writer, shape_of


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, Concatenate)  # noqa: S101 - the file's name says so
    values = writer.alike(inputs)
    axis = step.operation.axis % (len(values[0].shape) + 1)
    if values[0].layout == "channels_first":
        axis = (0, 2, 3, 1)[axis]
    name = writer.node("Concat", [value.name for value in values], axis=axis)
    return Value(name, shape_of(step), values[0].layout)
