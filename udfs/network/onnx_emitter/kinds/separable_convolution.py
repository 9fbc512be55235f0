"""`SeparableConvolution`: two convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...steps import Convolution, SeparableConvolution, Step
from ..activations import activated
from ..writer import Value, Writer
from .convolution import convolved, pads


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, SeparableConvolution)  # noqa: S101 - the file's name says so
    core, value = step.operation, inputs[0]
    kernel = np.asarray(core.depthwise, np.float32)
    deep = Convolution(kernel, None, core.strides, core.dilations, core.padding, depthwise=True)
    value = convolved(writer, value, deep, kernel, None, pads(deep, value.shape))
    kernel = np.asarray(core.pointwise, np.float32)
    bias = None if core.bias is None else np.asarray(core.bias, np.float32)
    value = convolved(writer, value, Convolution(kernel, bias), kernel, bias, (0, 0, 0, 0))
    return activated(writer, value, core.activation or step.name)
