"""`Relu`, with slope, threshold and largest value."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from ...steps import Relu, Step, fused_activation
from ..activations import activated
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, Relu)  # noqa: S101 - the file's name says so
    relu, value = step.operation, inputs[0]
    limit, slope, threshold = relu.max_value, relu.negative_slope, relu.threshold
    if fused := fused_activation(relu):
        return activated(writer, value, fused)
    if limit is None and not threshold:
        return writer.apply("LeakyRelu", value, alpha=slope)
    if limit is None:
        above = value
    else:
        above = writer.apply("Clip", value, writer.constant(0.0), writer.constant(float(limit)))
    edge = writer.constant(float(threshold))
    distance = writer.apply("Sub", value, edge)
    below = writer.apply("Mul", distance, writer.constant(float(slope)))
    chosen = writer.node("Greater", [value.name, edge])
    name = writer.node("Where", [chosen, above.name, below.name])
    return replace(value, name=name)
