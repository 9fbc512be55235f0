"""A checked `.onnx` file and the layers wanted of it → a model from pixels to features."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from vista_sql.roster import Cnn, Layer

from ..graph import Graph
from ..onnx_emitter import outputs
from ..onnx_emitter.emit import preprocessed
from ..onnx_emitter.writer import BATCH, Value, Writer
from ..steps import Foreign, Image, Step
from .file import OnnxFile, nodes

if TYPE_CHECKING:
    from onnx import ModelProto

OF_MAPS = {"mean": "gap", "grid": "max2x2"}
"""What the poolings of tokens are, once these stand as a map."""


class Wanted(Struct, frozen=True):
    """A layer, and how it is pooled."""

    layer: Layer
    pool: str


def graph_of(cnn: Cnn, file: OnnxFile | None = None) -> Graph:
    """Return a file's network as a graph that tells its layers; its image has the file as origin.

    What its steps compute only the file says: an engine that runs it takes it from there.

    Args:
        cnn: the facts about it.
        file: None: it is not run.
    """
    image = Step("" if file is None else file.image.name, Image(), (), cnn.input_shape, file)
    steps = [
        Step(
            layer.name,
            Foreign(""),
            tuple(name or image.name for name in layer.inputs),
            layer.shape,
        )
        for layer in cnn.layers
    ]
    return Graph(cnn.title, [image, *steps], steps[-1].name)


def from_pixels(
    file: OnnxFile, cnn: Cnn, wanted: Sequence[Wanted], ends_in_products: bool = False
) -> ModelProto:
    """Return a model of one input, uint8 pixels (rows, height, width, channels).

    Args:
        file: the network.
        cnn: the facts about it, and how it wants its images.
        wanted: each becomes an output, float32 (rows, values), in their order.
        ends_in_products: see `onnx_emitter.emit`.
    """
    from onnx import ModelProto, TensorProto, helper

    model = ModelProto()
    model.CopyFrom(file.model)  # its large weights are addresses
    writer = Writer("", model=model, prefix=_unused(model))
    own = [*model.graph.node]
    for field in ("node", "input", "output"):
        model.graph.ClearField(field)
    rows = cnn.fixed_rows or BATCH
    pixels = writer.input(writer.new("pixels"), cnn.input_shape, np.dtype("uint8"), rows)
    value = preprocessed(writer, pixels, cnn.preprocessing)
    if file.image.layout == "channels_last":
        value = writer.last(value)
    entered = helper.make_node("Cast", [value.name], [file.image.name], to=file.image.kind)
    model.graph.node.append(entered)
    model.graph.node.extend(own)
    for one in wanted:
        layer = one.layer
        name = writer.node("Cast", [layer.name], to=TensorProto.FLOAT)
        layout = layer.layout if len(layer.shape) == 3 else "channels_last"
        value = pooled(writer, Value(name, layer.shape, layout), one, ends_in_products)
        writer.output(writer.new("features"), value)
    return model


def from_values(layer: Layer, pools: Sequence[str]) -> ModelProto:
    """Return a model that pools a layer's raw values, float32 (rows, values)."""
    writer = Writer(layer.name)
    flat = writer.input("values", (layer.size,), np.dtype("float32"))
    value = Value(_shaped(writer, flat.name, layer.shape), layer.shape)
    for pool in pools:
        writer.output(writer.new("features"), pooled(writer, value, Wanted(layer, pool)))
    return writer.model()


def pooled(writer: Writer, value: Value, wanted: Wanted, ends_in_product: bool = False) -> Value:
    """Return a layer's features: a vector.

    A layer of tokens is pooled as the map that their places are, but for the class token.
    """
    layer, pool = wanted.layer, wanted.pool
    if layer.grid is not None and pool != "none":
        n_tokens, channels = layer.shape
        pool = OF_MAPS.get(pool, pool)
        shape: tuple[int, ...] = (*layer.grid, channels)
        first, end = n_tokens - prod(layer.grid), n_tokens
        if pool == "cls":
            pool, shape, first, end = "none", (channels,), 0, 1
        value = Value(_tokens(writer, value, first, end, shape), shape)
    elif not value.is_map:
        value = Value(_shaped(writer, value.name, (layer.size,)), (layer.size,))
    return outputs.pooled(writer, value, pool if value.is_map else "none", ends_in_product)


def _tokens(writer: Writer, value: Value, first: int, end: int, shape: tuple[int, ...]) -> str:
    bounds = [writer.constant([place]) for place in (first, end, 1)]
    cut = writer.node("Slice", [value.name, *bounds])
    return _shaped(writer, cut, shape)


def _shaped(writer: Writer, name: str, shape: tuple[int, ...]) -> str:
    return writer.node("Reshape", [name, writer.constant([-1, *shape])])


def _unused(model: ModelProto) -> str:
    """Return the beginning of names that no value and no node of a model has."""
    used = {name for node in nodes(model.graph) for name in (*node.output, *node.input, node.name)}
    prefix = "vista_"
    while any(name.startswith(prefix) for name in used):
        prefix += "_"
    return prefix
