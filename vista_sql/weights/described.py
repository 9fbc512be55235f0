"""What filling a network with weights asks about it, of one that Keras built and of data alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from vista_sql.roster import Network
from vista_sql.roster.catalogue.uses import KerasLayer, Use, uses
from vista_sql.roster.networks import NetworkData, StepRow, Variable, Weighted

Array: TypeAlias = Any
KerasVariable: TypeAlias = Any

SMALLEST_DEVIATION = 1e-7  # keras.config.epsilon(), by which Keras divides at least

KERAS_KINDS: Mapping[str, str] = {
    "BatchNorm": "BatchNormalization",
    "LayerNorm": "LayerNormalization",
    "Rescale": "Rescaling",
    "Standardize": "Normalization",
}
"""A step's operation → the class of the layer, where they are called differently."""


class Call(Struct, frozen=True, eq=False):
    """One use of a layer.

    Attributes:
        name: the step's.
        kind: the layer's class; "": of an inner network, whose layers are calls too.
        inputs: the calls that it reads, each with the channels of what it reads.
        variables: the layer's.
        activation: Keras's name of it; "": none, or not known.
        scale: what the values are multiplied with, and then …
        offset: … what is added; None: the layer does not, or with numbers that are variables.
    """

    name: str
    kind: str
    inputs: tuple[tuple[str, int], ...]
    variables: tuple[Variable, ...]
    activation: str
    scale: Array | None
    offset: Array | None


class Description(Struct, frozen=True, eq=False):
    """A network as its weights see it.

    Attributes:
        layers: those of the classes that have weights, in Keras's order.
        variables: all of them, in Keras's order.
        calls: each after those that it reads.
    """

    layers: tuple[Weighted, ...]
    variables: tuple[Variable, ...]
    calls: tuple[Call, ...]


def of_data(network: NetworkData) -> Description:
    """Describe a network that is known as data."""
    by_path = {variable.path: variable for variable in network.variables}
    channels = {step.name: _channels(step.shape or ()) for step in network.steps}
    calls = tuple(_step_call(step, by_path, channels) for step in network.steps)
    return Description(network.layers, network.variables, calls)


def of_keras(network: Network) -> tuple[Description, Mapping[Variable, KerasVariable]]:
    """Describe a functional or sequential network, and say what holds the values."""
    known: dict[int, Variable] = {}
    layers = _weighted(network.layers, "", known)
    variables = tuple(_variable(one, "", known) for one in network.weights)
    found, _ = uses(network)
    channels = {
        (use.name, place): _channels(output.shape)
        for use in found
        for place, output in enumerate(use.outputs)
    }
    calls = tuple(_use_call(use, known, channels) for use in found)
    holders = {known[id(one)]: one for one in network.weights}
    return Description(layers, variables, calls), holders


def _weighted(
    layers: Sequence[KerasLayer], prefix: str, known: dict[int, Variable]
) -> tuple[Weighted, ...]:
    """Return the layers of the classes that have weights; files number them by class.

    Variables are those of the first layer, bottom to top, that has them.
    """
    kinds = {type(layer).__name__ for layer in layers if layer.weights}
    found = []
    for layer in layers:
        kind = type(layer).__name__
        if kind not in kinds:
            continue
        path = prefix + layer.name
        own = [one for one in layer.weights if id(one) not in known]
        inner = _weighted(getattr(layer, "layers", None) or (), f"{path}/", known)
        variables = tuple(_variable(one, path, known) for one in own)
        found.append(Weighted(layer.name, kind, variables, inner))
    return tuple(found)


def _variable(variable: KerasVariable, layer: str, known: dict[int, Variable]) -> Variable:
    described = Variable(layer, variable.name, tuple(variable.shape))
    return known.setdefault(id(variable), described)


def _use_call(
    use: Use, known: dict[int, Variable], channels: Mapping[tuple[str, int], int]
) -> Call:
    inputs = tuple((name, channels[name, place]) for name, place in use.inputs)
    if use.node is None:
        return Call(use.name, "", inputs, (), "", None, None)
    layer, kind = use.layer, type(use.layer).__name__
    weights = getattr(layer, "weights", ())  # an operation that is no layer has none
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    if kind == "ReLU":
        activation = _relu(layer.max_value)
    scale, offset = None, None
    if kind == "Rescaling":
        scale, offset = layer.scale, layer.offset
    elif kind == "Normalization" and not weights and not layer.invert:
        scale, offset = _standardizing(layer.mean, layer.variance)
    variables = tuple(_variable(one, "", known) for one in weights)
    return Call(use.name, kind, inputs, variables, activation, scale, offset)


def _step_call(step: StepRow, by_path: Mapping[str, Variable], channels: Mapping[str, int]) -> Call:
    activation = step.fields.get("activation", "")
    if step.kind == "Relu":
        activation = _relu(step.fields.get("max_value"))
    constants = [one["constant"] for one in step.fields.values() if "constant" in _parts(one)]
    named = [one["of"] for one in step.fields.values() if "of" in _parts(one)]
    scale, offset = None, None
    if step.kind == "Rescale":
        scale, offset = constants
    elif step.kind == "Standardize" and constants:
        scale, offset = _standardizing(*constants)
    return Call(
        step.name,
        KERAS_KINDS.get(step.kind, step.kind),
        tuple((name, channels[name]) for name in step.inputs),
        tuple(by_path[path] for path in named),
        activation,
        scale,
        offset,
    )


def _parts(field: Any) -> Mapping[str, Any]:
    return field if isinstance(field, dict) else {}


def _standardizing(mean: Array, variance: Array) -> tuple[Array, Array]:
    """Return (… - mean) / deviation as a scale and an offset."""
    import numpy as np

    deviation = np.maximum(np.sqrt(np.asarray(variance, np.float64)), SMALLEST_DEVIATION)
    return 1 / deviation, -np.asarray(mean, np.float64) / deviation


def _relu(max_value: float | None) -> str:
    return "relu" if max_value is None else "relu6"


def _channels(shape: Sequence[int | None]) -> int:
    return (shape[-1] if shape else None) or 1
