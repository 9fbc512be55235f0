"""`Activate`: a function by Keras's name of it."""

from __future__ import annotations

from collections.abc import Sequence

from ...steps import Activate, Step
from ..activations import activated
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, Activate)  # noqa: S101 - the file's name says so
    return activated(writer, inputs[0], step.operation.activation or step.name)
