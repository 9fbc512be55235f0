"""`Add`: all inputs in their order; axes of length 1 are repeated."""

from __future__ import annotations

from collections.abc import Sequence

from ...steps import Step
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    return writer.folded("Add", step, inputs)
