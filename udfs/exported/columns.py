"""A kept model's structured columns: inputs of an ONNX model → features, as VISTA_PREDICT has them.

A column is one axis of rows: numbers (BOOLEAN too, as 0 and 1) in float64, of which NaN is NULL;
texts, of which `null_text` is NULL, since ONNX has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np

from vista_sql.models import Model

from ..network.onnx_emitter.writer import Value, Writer

NUMBER, TEXT = np.dtype("float64"), np.dtype("object")


def inputs(writer: Writer, model: Model) -> dict[str, Value]:
    """Add an input (rows,) for each structured column, in the model's order."""
    return {
        name: writer.input(name, (), TEXT if name in model.levels else NUMBER)
        for name in model.structured
    }


def features(writer: Writer, model: Model, columns: Mapping[str, Value]) -> list[str]:
    """Write the features of structured columns.

    Returns:
        Names of float64 values (rows, features), to be joined in this order: numbers, NaN being
        filled in; where they were NaN; the levels of each text column, then all others.
    """
    parts = []
    if model.numbers:
        numbers = joined(writer, [_upright(writer, columns[name]) for name in model.numbers])
        parts.append(numbers)
        if model.fill is not None:
            missing = writer.node("IsNaN", [numbers])
            filled = writer.node("Where", [missing, writer.doubles(model.fill), numbers])
            parts = [filled, writer.cast(missing, NUMBER)]
    for name, levels in model.levels.items():
        parts += _one_hot(writer, _upright(writer, columns[name]), levels)
    return parts


def joined(writer: Writer, parts: Sequence[str]) -> str:
    """Return the name of values (rows, values) beside each other."""
    return parts[0] if len(parts) == 1 else writer.node("Concat", parts, axis=1)


def null_text(levels: Sequence[str | None]) -> str:
    """Return what stands for NULL in a text column: a text that is none of its levels.

    Example:
        >>> null_text(["a", None]), null_text(["", "a", None])
        ('', 'NULL')
    """
    return next(text for n in count() if (text := "NULL" * n) not in levels)


def _upright(writer: Writer, column: Value) -> str:
    return writer.node("Unsqueeze", [column.name, writer.constant([1])])


def _one_hot(writer: Writer, column: str, levels: Sequence[str | None]) -> list[str]:
    """Write 0 and 1 for each level of a text column (rows, 1), then for all other texts."""
    null = null_text(levels)
    texts = writer.texts([null if level is None else level for level in levels])
    known = writer.cast(writer.node("Equal", [column, texts]), NUMBER)
    n_known = writer.node("ReduceSum", [known, writer.constant([1])], keepdims=1)
    return [known, writer.node("Sub", [writer.doubles(1.0), n_known])]
