"""`Rescale`: values × scale + offset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...steps import Rescale, Step
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, Rescale)  # noqa: S101 - the file's name says so
    value, scale = writer.per_channel(inputs[0], np.asarray(step.operation.scale, np.float32))
    value = writer.apply("Mul", value, scale)
    value, offset = writer.per_channel(value, np.asarray(step.operation.offset, np.float32))
    return writer.apply("Add", value, offset)
