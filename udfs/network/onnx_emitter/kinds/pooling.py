"""`Pooling`: windows of a map, whose padding counts for nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ...steps import Pooling, Step
from ..writer import Value, Writer
from .convolution import same, windows


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, Pooling)  # noqa: S101 - the file's name says so
    pool, value = step.operation, inputs[0]
    is_same = pool.padding == "same"
    around = same(value.shape, pool.size, pool.strides) if is_same else (0, 0, 0, 0)
    return pooled(writer, step, value, around)


def pooled(writer: Writer, step: Step, value: Value, around: tuple[int, int, int, int]) -> Value:
    """Write the step over a map with a padding: top, left, bottom, right."""
    assert isinstance(step.operation, Pooling)  # noqa: S101 - the file's name says so
    pool, value = step.operation, writer.first(value)
    top, left, bottom, right = around
    options = {"kernel_shape": pool.size, "strides": pool.strides, "pads": around}
    name = writer.node(
        "MaxPool" if pool.reduction == "max" else "AveragePool", [value.name], **options
    )
    height = windows(value.shape[0] + top + bottom, pool.size[0], pool.strides[0])
    width = windows(value.shape[1] + left + right, pool.size[1], pool.strides[1])
    return Value(name, (height, width, value.shape[2]), "channels_first")
