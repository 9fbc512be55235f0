"""`Subsample`: tanh(coefficient × sum of 2 × 2 values + bias), per channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...steps import Step, Subsample
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, Subsample)  # noqa: S101 - the file's name says so
    value = writer.first(inputs[0])
    height, width, channels = value.shape
    name = writer.node("AveragePool", [value.name], kernel_shape=(2, 2), strides=(2, 2))
    value = Value(name, (height // 2, width // 2, channels), "channels_first")
    coefficient = 4 * np.asarray(step.operation.coefficient, np.float32)
    value, factor = writer.per_channel(value, coefficient)
    value = writer.apply("Mul", value, factor)
    value, bias = writer.per_channel(value, np.asarray(step.operation.bias, np.float32))
    return writer.apply("Tanh", writer.apply("Add", value, bias))
