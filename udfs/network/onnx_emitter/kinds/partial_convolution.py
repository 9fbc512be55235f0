"""`PartialConvolution`: a convolution whose kernel is zero where maps are not connected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...steps import Convolution, PartialConvolution, Step
from ..writer import Value, Writer
from .convolution import convolved


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, PartialConvolution)  # noqa: S101 - the file's name says so
    partial = step.operation
    pairs = np.asarray(partial.kernel, np.float32)
    shape = (*pairs.shape[:2], inputs[0].shape[-1], len(partial.connections))
    kernel = np.zeros(shape, np.float32)
    connected = [(i, j) for j, seen in enumerate(partial.connections) for i in seen]
    for place, (i, j) in enumerate(connected):
        kernel[:, :, i, j] = pairs[:, :, place]
    bias = np.asarray(partial.bias, np.float32)
    core = Convolution(kernel, bias)
    return writer.apply("Tanh", convolved(writer, inputs[0], core, kernel, bias, (0, 0, 0, 0)))
