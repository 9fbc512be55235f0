"""`GlobalPool`: a value per channel."""

from __future__ import annotations

from collections.abc import Sequence

from ...steps import GlobalPool, Step
from ..outputs import over_places
from ..writer import Value, Writer


def emit(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write the step."""
    assert isinstance(step.operation, GlobalPool)  # noqa: S101 - the file's name says so
    pool = step.operation
    return over_places(writer, inputs[0], pool.reduction, pool.keep_axes)
