"""`Dense`: a product over the last axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...steps import Dense, Step
from ..activations import activated
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write a dense layer that is in no group."""
    assert isinstance(step.operation, Dense)  # noqa: S101 - the file's name says so
    core = step.operation
    bias = None if core.bias is None else np.asarray(core.bias, np.float32)
    result = product(writer, inputs[0], np.asarray(core.kernel, np.float32), bias)
    return activated(writer, result, core.activation or step.name)


def product(writer: Writer, value: Value, kernel: np.ndarray, bias: np.ndarray | None) -> Value:
    """Return values × kernel + bias, without activation."""
    last = writer.last(value)
    name = writer.node("MatMul", [last.name, writer.constant(kernel)])
    if bias is not None:
        name = writer.node("Add", [name, writer.constant(bias)])
    return Value(name, (*last.shape[:-1], kernel.shape[-1]))
