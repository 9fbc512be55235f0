"""A graph and the layers wanted of it → an ONNX model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from vista_sql import catalog
from vista_sql.errors import PlanError, UnknownNameError
from vista_sql.roster import Preprocessing

from ..graph import Graph
from ..steps import Step
from . import groups, outputs, paddings
from .kinds import pooling
from .writer import FLOAT32, Value, Writer, shape_of

if TYPE_CHECKING:
    from onnx import ModelProto

PACKAGE = f"{__package__}.kinds"

INPUT = "pixels"
"""The model's input where it begins at the image."""

EmitKind: TypeAlias = Callable[[Writer, Step, Sequence[Value]], Value]
"""What a file of `kinds/` holds as `emit`: writes one step's operation, given its inputs."""


class Output(Struct, frozen=True):
    """An output of a model: a layer, how its maps are pooled, and what the output is called."""

    layer: str
    pool: str
    name: str


def emit(
    graph: Graph,
    preprocessing: Preprocessing,
    wanted: Sequence[Output],
    source: str | None = None,
    beside: list[np.ndarray] | None = None,
    ends_in_products: bool = False,
) -> ModelProto:
    """Return a model that computes layers of a network.

    Args:
        graph: the network.
        preprocessing: from uint8 pixels to the network's input.
        wanted: at least one; each becomes an output, float32 (rows, values).
        source: the step whose raw maps, float32 (rows, values), are the model's input, which has
            the step's name; None: the input is `INPUT`, uint8 pixels (rows, height, width,
            channels), channels in the preprocessing's order.
        beside: gets the weights, where a model is wanted that has them by their addresses.
        ends_in_products: whether what is computed is to be computed in the arithmetic that
            OpenVINO is told, up to the outputs.

    Returns:
        The model; the number of rows is open.

    Raises:
        PlanError: a step cannot be written in ONNX, or a layer cannot be computed from `source`.
        UnknownNameError: the network has no such layer.
    """
    writer = Writer(graph.name, beside)
    if source is None:
        start = graph.input
        shape = shape_of(graph.steps[start])
        pixels = writer.input(INPUT, shape, np.dtype("uint8"))
        value = preprocessed(writer, pixels, preprocessing)
    else:
        start, shape = source, shape_of(graph.steps[source])
        flat = writer.input(source, (prod(shape),), FLOAT32)
        value = writer.reshaped(flat, shape)
        value = outputs.times_one(writer, value) if value.is_map else value
    found = features(writer, graph, wanted, start, value, ends_in_products)
    for output, vector in zip(wanted, found, strict=True):
        writer.output(output.name, vector)
    return writer.model()


def preprocessed(writer: Writer, pixels: Value, preprocessing: Preprocessing) -> Value:
    """Write from uint8 pixels, channels in the preprocessing's order, to the network's input."""
    first = writer.first(pixels)  # while they are small
    value = replace(first, name=writer.cast(first.name, FLOAT32))
    mean, scale = preprocessing.mean, preprocessing.scale
    if any(mean):
        value = writer.apply("Sub", *writer.per_channel(value, np.asarray(mean, np.float32)))
    if any(one != 1 for one in scale):
        value = writer.apply("Mul", *writer.per_channel(value, np.asarray(scale, np.float32)))
    return value


def features(
    writer: Writer,
    graph: Graph,
    wanted: Sequence[Output],
    start: str,
    value: Value,
    ends_in_products: bool = False,
) -> list[Value]:
    """Write layers, pooled, given the value of `start`; return a vector for each of `wanted`.

    Raises:
        PlanError, UnknownNameError: as `emit`.
    """
    for output in wanted:
        graph.check(output.layer)
    known = {start: value}
    compute(writer, graph, [output.layer for output in wanted], start, known)
    return [
        outputs.pooled(writer, known[output.layer], output.pool, ends_in_products)
        for output in wanted
    ]


def compute(
    writer: Writer, graph: Graph, targets: Sequence[str], start: str, known: dict[str, Value]
) -> None:
    """Write all that `targets` need; `known` holds the value of `start`, and gets all others."""
    order = graph.order(targets, start)
    padded = paddings.taken_over(graph, order, targets)
    written_there = {graph.steps[name].inputs[0] for name in padded}
    for name in order:
        if name in known or name in written_there:
            continue
        group = graph.group_of(name)
        if name in padded:
            below, around = padded[name]
            known[name] = pooling.pooled(writer, graph.steps[name], known[below], around)
        elif group is not None:
            known[name] = groups.emit(writer, graph, group, name, start, known)
        else:
            step = graph.steps[name]
            known[name] = emit_step(writer, step, [known[need] for need in step.inputs])


def emit_step(writer: Writer, step: Step, inputs: Sequence[Value]) -> Value:
    """Write one step by the file of its kind.

    Raises:
        PlanError: there is none, or the step does what it does not describe.
    """
    kind = _snake_case(type(step.operation).__name__)
    if kind not in catalog.names(PACKAGE):
        raise PlanError(f"layer {step.name!r} {_kind(step)}cannot be written in ONNX")
    emit_kind: EmitKind = catalog.module(PACKAGE, kind).emit
    try:
        return emit_kind(writer, step, inputs)
    except UnknownNameError as error:
        raise PlanError(f"layer {step.name!r} cannot be written in ONNX: {error}") from error


def _kind(step: Step) -> str:
    kind = getattr(step.operation, "kind", type(step.operation).__name__)
    return f"({kind}) " if kind else ""


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]
