"""`Standardize`: (values - mean) / sqrt(variance)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...steps import Standardize, Step
from ..writer import Value, Writer

SMALLEST_DEVIATION = 1e-7  # keras.config.epsilon(), by which Keras divides at least


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, Standardize)  # noqa: S101 - the file's name says so
    value, mean = writer.per_channel(inputs[0], np.asarray(step.operation.mean, np.float32))
    value = writer.apply("Sub", value, mean)
    deviation = np.sqrt(np.asarray(step.operation.variance, np.float32))
    value, divisor = writer.per_channel(value, np.maximum(deviation, SMALLEST_DEVIATION))
    return writer.apply("Div", value, divisor)
