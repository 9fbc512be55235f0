"""`BatchNorm`: a factor and a term per channel."""

from __future__ import annotations

from collections.abc import Sequence

from ...steps import BatchNorm, Step
from ..groups import scale_and_shift
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, BatchNorm)  # noqa: S101 - the file's name says so
    norm = step.operation
    scale, shift = scale_and_shift(norm)
    value = inputs[0]
    axis = norm.axis % (len(value.shape) + 1)
    if axis != len(value.shape):  # of another axis than the channels
        shape = (-1, *[1] * (len(value.shape) - axis))
        scale, shift = scale.reshape(shape), shift.reshape(shape)
    value, factor = writer.per_channel(value, scale)
    value = writer.apply("Mul", value, factor)
    value, term = writer.per_channel(value, shift)
    return writer.apply("Add", value, term)
