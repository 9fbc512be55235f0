"""`Multiply`: all inputs in their order; axes of length 1 are repeated."""

from __future__ import annotations

from collections.abc import Sequence

from ...steps import Step
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    values = writer.alike(inputs)
    name = values[0].name
    for other in values[1:]:
        name = writer.node("Mul", [name, other.name])
    return Value(name, tuple(side or 1 for side in step.shape or ()), values[0].layout)
