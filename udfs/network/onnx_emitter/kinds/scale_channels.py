"""`ScaleChannels`: values × factor, per channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...steps import ScaleChannels, Step
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, ScaleChannels)  # noqa: S101 - the file's name says so
    value, factor = writer.per_channel(inputs[0], np.asarray(step.operation.factor, np.float32))
    return writer.apply("Mul", value, factor)
