"""`Reshape`: the same values, row-major and channels last, in the step's shape."""

from __future__ import annotations

from collections.abc import Sequence

from ...steps import Step
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    return writer.reshaped(inputs[0], tuple(side or 1 for side in step.shape or ()))
