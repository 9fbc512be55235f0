"""A kept model's regression or tree, as the end of an ONNX model: features → what it predicts.

All is computed in float64, as `train.scorer` does. A row that VISTA_PREDICT does not score, since a
feature is NULL, not finite or too large, has the label `NOT_SCORED`, and NaN for its numbers.
"""

from __future__ import annotations

import numpy as np

from vista_sql import train
from vista_sql.models import Model
from vista_sql.train.rows import LARGEST

from ..network.onnx_emitter.writer import FLOAT32, Value, Writer

NOT_SCORED = ""

NAMES = ("predicted_label", "probability", "probabilities", "value")
LABEL, PROBABILITY, PROBABILITIES, VALUE = NAMES
"""What outputs are called: the first three of a model of classes, the last of one of a number."""


def outputs(writer: Writer, model: Model, features: str) -> None:
    """Write what a model predicts.

    Of classes: the likeliest as text (rows,); its probability, float32 (rows,); those of all in the
    model's order, float32 (rows, classes). Of a number: float64 (rows,).

    Args:
        writer: of the model.
        model: whose trainer has a form in ONNX.
        features: the name of all its features, float64 (rows, features).
    """
    trainer = train.load(model.trainer)
    assert trainer.as_onnx is not None  # noqa: S101 - who calls has asked
    margins = trainer.as_onnx(writer, model.arrays(), features)
    axis, nan = writer.constant([1]), writer.doubles(np.nan)
    small = writer.node("LessOrEqual", [writer.node("Abs", [features]), writer.doubles(LARGEST)])
    all_small = writer.node("ReduceMin", [writer.cast(small, "int32"), axis], keepdims=0)
    scored = writer.cast(all_small, "bool")  # (rows,)
    if trainer.learns == "numbers":
        value = writer.node("Squeeze", [margins, axis])
        value = writer.node("Where", [scored, value, nan])
        writer.output(VALUE, Value(value, ()), np.dtype("float64"))
        return
    if len(model.classes) == 2:  # log-odds of the second: those of the first are 0
        margins = writer.node("MatMul", [margins, writer.doubles([[0.0, 1.0]])])
    chances = writer.node("Softmax", [margins], axis=1)
    best = writer.node("ArgMax", [chances], axis=1, keepdims=0)
    label = writer.node("Gather", [writer.texts(model.classes), best])
    label = writer.node("Where", [scored, label, writer.texts([NOT_SCORED])])
    writer.output(LABEL, Value(label, ()), np.dtype("object"))
    highest = writer.node("ReduceMax", [chances, axis], keepdims=0)
    highest = writer.node("Where", [scored, highest, nan])
    writer.output(PROBABILITY, Value(writer.cast(highest, FLOAT32), ()))
    upright = writer.node("Unsqueeze", [scored, axis])
    chances = writer.node("Where", [upright, chances, nan])
    writer.output(PROBABILITIES, Value(writer.cast(chances, FLOAT32), (len(model.classes),)))
