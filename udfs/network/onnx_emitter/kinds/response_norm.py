"""`ResponseNorm`: ONNX's LRN, whose alpha is divided by the size of the window."""

from __future__ import annotations

from collections.abc import Sequence

from ...steps import ResponseNorm, Step
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, ResponseNorm)  # noqa: S101 - the file's name says so
    norm = step.operation
    size = 2 * norm.radius + 1
    return writer.apply(
        "LRN",
        writer.first(inputs[0]),
        alpha=norm.alpha * size,
        beta=norm.beta,
        bias=norm.bias,
        size=size,
    )
