"""A kept model → its ONNX file, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vista_sql import files, train
from vista_sql.errors import HostError, ModelError
from vista_sql.models import Model

from ..network.onnx_emitter.emit import INPUT, features, preprocessed
from ..network.onnx_emitter.writer import Value, Writer
from . import columns, scores
from .backbone import Backbone, backbone_of
from .metadata import metadata

if TYPE_CHECKING:
    from onnx import ModelProto


def export(model: Model, file: Path) -> dict[str, str]:
    """Write a model's file, and replace what was there once it is whole.

    Returns:
        The file's metadata.

    Raises:
        ModelError: the model has no form in ONNX, or its weights are others now; or the file cannot
            be written.
        WeightsError: the weights are missing or damaged.
        PlanError: a layer of the network cannot be written in ONNX.
        HostError: onnx is not installed.
    """
    try:
        from onnx import helper
    except ModuleNotFoundError as error:
        raise HostError(
            f"a model is written as ONNX by onnx ({error}): pip install 'vista-sql[openvino]'"
        ) from error
    check(model)
    backbone = backbone_of(model) if model.layers else None
    written, said = emit(model, backbone), metadata(model, backbone)
    helper.set_model_props(written, said)
    try:
        with files.whole(file) as stream:
            stream.write(written.SerializeToString())
    except OSError as error:
        shown = str(file).replace("\0", "\\0")
        raise ModelError(f"{shown} cannot be written: {error.strerror or error}") from error
    return said


def check(model: Model) -> None:
    """Check that a model has a form in ONNX, as far as its record says.

    Raises:
        ModelError: it has none.
    """
    trainer = train.load(model.trainer)
    if trainer.as_onnx is None:
        raise ModelError(
            f"model {model.reference!r} was fitted by trainer {trainer.name!r}, which has no form "
            "in ONNX: score with VISTA_PREDICT"
        )
    for name in model.structured:
        if name in (INPUT, *scores.NAMES):
            raise ModelError(
                f"model {model.reference!r} uses a column {name!r}, as the file's own input or "
                "output is called: rename it in the data, and train again"
            )


def emit(model: Model, backbone: Backbone | None) -> ModelProto:
    """Return a model in ONNX.

    Args:
        model: one that `check` lets pass.
        backbone: of its layers; None: it uses none, and there are no pixels.

    Raises:
        PlanError: a layer of the network cannot be written in ONNX.
    """
    writer = Writer(model.reference if backbone is None else backbone.graph.name)
    if backbone is not None:  # inputs first: their names are given, and those of nodes are made
        pixels = writer.input(INPUT, backbone.cnn.input_shape, np.dtype("uint8"))
    parts = columns.features(writer, model, columns.inputs(writer, model))
    if backbone is not None:
        image = preprocessed(writer, _in_order(writer, pixels, backbone), backbone.preprocessing)
        layers = features(writer, backbone.graph, backbone.outputs, backbone.graph.input, image)
        parts += [writer.cast(layer.name, "float64") for layer in layers]
    scores.outputs(writer, model, columns.joined(writer, parts))
    return writer.model()


def _in_order(writer: Writer, pixels: Value, backbone: Backbone) -> Value:
    """Return RGB pixels with their channels in the network's order."""
    if backbone.preprocessing.order != "bgr":
        return pixels
    return writer.apply("Gather", pixels, writer.constant([2, 1, 0]), axis=3)
