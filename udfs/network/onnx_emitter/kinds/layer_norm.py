"""`LayerNorm`, over the last axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...steps import LayerNorm, Step
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, LayerNorm)  # noqa: S101 - the file's name says so
    norm, value = step.operation, writer.last(inputs[0])
    channels = value.shape[-1]
    gamma = np.ones(channels, np.float32) if norm.gamma is None else np.asarray(norm.gamma)
    names = [writer.constant(gamma)]
    if norm.beta is not None:
        names.append(writer.constant(np.asarray(norm.beta)))
    return writer.apply("LayerNormalization", value, *names, axis=-1, epsilon=norm.epsilon)
