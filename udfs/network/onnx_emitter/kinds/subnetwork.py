"""`Subnetwork`: its steps, with groups of their own."""

from __future__ import annotations

from collections.abc import Sequence

from ...graph import Graph
from ...steps import Step, Subnetwork
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, Subnetwork)  # noqa: S101 - the file's name says so
    from ..emit import compute

    inner = Graph(step.name, step.operation.steps, step.operation.output)
    known = {inner.input: inputs[0]}
    compute(writer, inner, [inner.output], inner.input, known)
    return known[inner.output]
